"""Tests of nimakit.nn.personal."""
