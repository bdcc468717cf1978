"""Tests of nimakit.culling."""
