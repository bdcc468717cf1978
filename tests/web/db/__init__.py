"""Tests of nimakit.web.db."""
