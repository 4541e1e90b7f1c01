"""Runs and workers in the admin."""
