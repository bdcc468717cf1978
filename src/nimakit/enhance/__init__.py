"""Editing photos so that a model scores them higher: adjustments, framing, and writing the results."""
