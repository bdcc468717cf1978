"""The dashboard: progress, figures and charts of a collection."""
