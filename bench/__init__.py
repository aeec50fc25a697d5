"""What `make bench` measures, part by part; see bench/README.md."""
