"""Many things at a time: batches of what many callers ask for, and streams in chunks."""
