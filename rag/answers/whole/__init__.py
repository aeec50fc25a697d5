"""Questions about a whole document or the library: summaries, lists, counts, comparisons, each with a receipt."""
