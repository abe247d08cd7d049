"""What is loaded inside ZEO servers and Zopes, whose environment must have zmount for it."""
