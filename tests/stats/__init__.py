"""Tests of nimakit.stats."""
