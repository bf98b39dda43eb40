"""Reports: pure functions from results to text. Nothing here prints or writes a file."""
