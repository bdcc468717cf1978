"""Tests of nimakit.reports."""
