"""Whether the passages answer a question, or it is refused."""
