"""Older vectors and files, taken over."""
