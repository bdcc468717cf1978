"""Tests of nimakit.images."""
