"""Tests of the bash scripts."""
