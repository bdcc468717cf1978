"""Training jobs: prepare, run, resume and upload them."""
