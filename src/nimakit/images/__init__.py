"""Photographs: find, decode, resize, compare and save them."""
