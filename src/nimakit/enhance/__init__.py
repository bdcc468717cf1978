"""Edit photographs so that a model scores them higher."""
