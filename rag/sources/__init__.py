"""A source becomes documents: fetched, crawled, and read in a child process by its kind."""
