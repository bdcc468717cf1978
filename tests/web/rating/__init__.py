"""Tests of nimakit.web.rating."""
