"""Batch processors: requests of many callers, handled many at a time."""
