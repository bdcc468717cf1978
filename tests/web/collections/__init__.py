"""Tests of nimakit.web.collections."""
