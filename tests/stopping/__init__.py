"""Stopping what runs: timeouts, cancellations, the end of a child process and of a worker."""
