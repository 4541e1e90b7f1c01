"""A process that keeps worker processes alive, and their end of the pipe to it."""
