"""Nouns: what a deployment consists of, as immutable values."""
