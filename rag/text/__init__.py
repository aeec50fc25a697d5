"""Text itself: its sentences, its words, and vectors of its sentences."""
