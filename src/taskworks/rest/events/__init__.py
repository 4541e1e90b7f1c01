"""Server-sent events: how runs get on, told to those who watch."""
