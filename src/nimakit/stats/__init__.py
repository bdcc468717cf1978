"""Statistics of plain arrays: histograms, correlation, agreement, ridge regression, Bradley-Terry."""
