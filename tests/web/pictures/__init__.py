"""Tests of nimakit.web.pictures."""
