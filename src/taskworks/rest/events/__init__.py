"""Server-sent events: the progress of runs, streamed to browsers."""
