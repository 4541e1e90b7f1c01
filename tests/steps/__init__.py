"""Steps of a task, sleeps, and events."""
