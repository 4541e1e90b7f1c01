"""Endpoints of the tests, and an app with what they are about."""
