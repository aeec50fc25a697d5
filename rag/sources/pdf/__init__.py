"""PDF files become documents: words with their places, columns, tables, lines, headings."""
