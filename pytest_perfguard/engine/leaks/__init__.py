"""Leaks: found, named, and never imagined."""
