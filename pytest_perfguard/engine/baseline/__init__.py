"""The baseline file: its format, and the only code that reads and writes it."""
