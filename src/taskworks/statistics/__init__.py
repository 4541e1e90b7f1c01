"""
What became of runs over time: counts of every outcome, and histograms of waits and durations.

A collector hears of the outcomes of a worker, which writes what it has collected every ten seconds.
Compaction adds these rows up; ``reading`` has what pages and metrics ask for.
"""
