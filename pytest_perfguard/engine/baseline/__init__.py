"""The baseline file: its form, and the one place that reads and writes it."""
