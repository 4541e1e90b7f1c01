"""The backends of the standard: immediate and dummy."""
