"""Score images and evaluate models: items, records, runs, metrics, charts and the training report."""
