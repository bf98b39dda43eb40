"""Verdicts: pure functions from measurements to findings."""
