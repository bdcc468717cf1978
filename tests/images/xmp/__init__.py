"""Tests of nimakit.images.xmp."""
