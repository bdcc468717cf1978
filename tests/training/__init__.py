"""Tests of nimakit.training."""
