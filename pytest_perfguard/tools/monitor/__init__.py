"""The performance monitor that tests and applications use directly."""
