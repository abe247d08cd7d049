"""A FileStorage engine: scan, reference walk, mark, copy, index. Stand-alone; no topology."""
