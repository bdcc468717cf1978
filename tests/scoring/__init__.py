"""Tests of nimakit.scoring."""
