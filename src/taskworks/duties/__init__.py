"""What a worker does besides executing: heartbeat, rescue, promotion, unblocking, schedules, pruning."""
