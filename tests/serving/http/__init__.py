"""Tests of nimakit.serving.http."""
