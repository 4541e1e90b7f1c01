"""What keeps the record in order: one duty, one file."""
