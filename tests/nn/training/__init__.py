"""Tests of nimakit.nn.training."""
