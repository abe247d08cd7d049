"""Intentions as values: steps, plans and what they take for granted."""
