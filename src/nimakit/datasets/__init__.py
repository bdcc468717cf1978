"""Importers of public data sets: a module each, which reads its files into label files."""
