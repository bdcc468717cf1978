"""Importers: one data set of other people a module, each to label files."""
