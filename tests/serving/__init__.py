"""Tests of nimakit.serving."""
