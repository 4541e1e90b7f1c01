"""What a worker does besides executing: heartbeat, rescue, unblocking, schedules, pruning."""
