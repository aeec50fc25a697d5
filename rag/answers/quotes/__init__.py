"""The sentences of the passages that answer best, word for word."""
