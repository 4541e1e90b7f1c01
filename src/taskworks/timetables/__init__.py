"""When a schedule is due and what it calls, without tables."""
