"""Tests of the rating app."""
