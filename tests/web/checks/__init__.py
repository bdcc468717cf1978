"""Tests of nimakit.web.study: checks of raters."""
