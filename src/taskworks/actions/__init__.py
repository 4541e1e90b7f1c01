"""What a person does to runs and schedules, and what resulted."""
