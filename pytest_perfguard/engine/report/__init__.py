"""Data in, lines out; nobody here prints."""
