"""Profiles of both sides of a regression, and the functions and lines that they blame."""
