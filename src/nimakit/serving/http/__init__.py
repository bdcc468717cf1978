"""Receive whole HTTP requests within bounds of time and memory."""
