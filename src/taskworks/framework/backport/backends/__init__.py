"""The backends of the standard: one that runs at once, and one that only remembers."""
