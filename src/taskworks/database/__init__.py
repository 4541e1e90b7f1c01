"""What the engine needs of a database besides its tables: clock, connections, notifications, columns."""
