"""Backends whose runs are in a database of their own."""
