"""Tests of nimakit.web.transfer."""
