"""Tests of nimakit.nn.networks."""
