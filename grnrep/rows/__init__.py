"""Rows (cells) of a data matrix, read in blocks."""
