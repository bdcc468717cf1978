"""Tests of nimakit.serving.routes."""
