"""Counts of executed instructions: sources, instrument, plan, dump files."""
