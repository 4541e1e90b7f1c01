"""What a person and a program see of runs: the admin, the command line."""
