"""The pages of runs: the list, one run, a new one, and what is done to many."""
