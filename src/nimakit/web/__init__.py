"""The rating app: people rate photographs in a browser, and the ratings are exported as label files."""
