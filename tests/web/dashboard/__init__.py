"""Tests of nimakit.web.dashboard."""
