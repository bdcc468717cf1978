"""Tests of the models that collections learn."""
