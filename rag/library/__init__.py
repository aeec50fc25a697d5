"""Documents become an index: texts on disk, chunks, Chroma, words, and the work of adding and removing."""
