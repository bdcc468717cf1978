"""Tests of `nimakit.web.study`."""
