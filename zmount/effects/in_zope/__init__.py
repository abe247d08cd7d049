"""Scripts that run in an instance's Python, not in zmount's; they import no zmount."""
