"""Search for the commits that made a test worse: the search itself, the commits, their trees, the saved state."""
