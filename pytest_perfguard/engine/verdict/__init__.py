"""Verdicts: pure functions from numbers to findings."""
