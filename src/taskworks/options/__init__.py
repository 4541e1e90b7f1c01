"""What a task, a queue or a run may be given: policy, retention, owner."""
