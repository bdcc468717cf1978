"""Tests of nimakit.models."""
