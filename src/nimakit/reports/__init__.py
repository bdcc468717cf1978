"""Building blocks of reports: HTML pages, plots, contact sheets, heatmaps and templates."""
