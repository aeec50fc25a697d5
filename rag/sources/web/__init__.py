"""A page or a file is fetched from the web: addresses, connections, limits, and the pages of one site."""
