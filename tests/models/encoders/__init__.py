"""Tests of nimakit.models.encoders."""
