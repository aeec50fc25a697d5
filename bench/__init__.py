"""What `make bench` measures, part by part; see bench/README.md."""

import rag  # noqa: F401  # before numpy, whose threads it sets
