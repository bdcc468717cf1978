"""Label files and tables of ratings: reading, checking, splitting, filtering and reporting."""
