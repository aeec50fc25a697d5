"""Files that are text become documents: Markdown, tables, JSON, mails, notebooks, source code."""
