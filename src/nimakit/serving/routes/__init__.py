"""The HTTP routes: the API, the Open Inference Protocol, the pages."""
