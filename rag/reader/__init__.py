"""A source opened at the words of a quote: its text as it was read, and the pages of a PDF as pictures with boxes."""
