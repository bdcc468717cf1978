"""What reports are made of: HTML pages, plots, contact sheets, heatmaps and the templates."""
