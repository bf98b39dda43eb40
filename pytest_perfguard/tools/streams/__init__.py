"""Stream processors: long streams in chunks, several at a time, in bounded memory."""
