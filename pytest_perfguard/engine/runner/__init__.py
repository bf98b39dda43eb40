"""Measuring processes: starting them, talking to them, and the round over fresh ones."""
