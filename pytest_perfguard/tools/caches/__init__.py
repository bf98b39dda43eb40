"""Caches: levels, and how they work together."""
