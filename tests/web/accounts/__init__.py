"""Tests of nimakit.web.accounts."""
