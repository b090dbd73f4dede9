"""Keywords: their text, their extractors, their cache, and what a sync makes of them."""
