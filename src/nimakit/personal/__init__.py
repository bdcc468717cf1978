"""Learn one person's taste, and from many people's ratings how tastes differ."""
