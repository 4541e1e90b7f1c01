"""The fault suite: what a task queue meets in life, done to real workers on real databases."""
