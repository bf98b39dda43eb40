"""Batch processors: items of many callers, processed many at a time."""
