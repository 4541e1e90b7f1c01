"""
Two ways to do the same work, measured in alternating pairs: ``python -m benchmarks.pairs BAR``.

A ratio of two rates that were measured one after the other says little on a machine that has other
things to do. So each pair gives a ratio of its own, its order changes from pair to pair, and what
counts is the median of the ratios, with an interval in which it lies with a probability of 95 %.
"""
