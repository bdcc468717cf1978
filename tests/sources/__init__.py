"""Tests of nimakit.sources."""
