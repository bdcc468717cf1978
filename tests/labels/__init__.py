"""Tests of nimakit.labels."""
