"""What the engine needs of a database besides tables: clock, connections, notifications."""
