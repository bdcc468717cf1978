"""Tests of nimakit.web.similarity."""
