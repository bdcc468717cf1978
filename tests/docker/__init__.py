"""Tests in real containers, run by ./run-tests --docker."""
