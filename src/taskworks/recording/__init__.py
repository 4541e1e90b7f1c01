"""Where each attempt of a worker is, and the writing of what becomes of it."""
