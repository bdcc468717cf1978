"""Tests of the Cull experiment."""
