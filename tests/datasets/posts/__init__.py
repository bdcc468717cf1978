"""Tests of nimakit.datasets.posts."""
