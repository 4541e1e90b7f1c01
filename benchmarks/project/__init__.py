"""One Django project for every system that has one: its settings, its tasks, its workers."""
