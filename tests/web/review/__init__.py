"""Tests of nimakit.web.review."""
