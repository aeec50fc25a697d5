"""HTML becomes text with its outline: the tree of a page, its main text, its tables and formulas."""
