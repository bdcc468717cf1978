"""Tests of nimakit.web.predictions."""
