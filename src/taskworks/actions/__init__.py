"""What a person does to runs and schedules, and what came of it."""
