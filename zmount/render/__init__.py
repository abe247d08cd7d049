"""Texts: pure functions from topology to configuration files."""
