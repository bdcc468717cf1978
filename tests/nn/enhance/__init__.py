"""Tests of nimakit.nn.enhance."""
