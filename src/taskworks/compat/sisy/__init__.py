"""sisy's names. ``taskworks.schedules`` exports its functions, and ``Schedule`` has its methods."""
