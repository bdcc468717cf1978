"""Keras networks: backbones, heads, adapters, their weights and their export."""
