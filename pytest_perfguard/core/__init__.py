"""Vocabulary and plumbing that every other part may use."""
