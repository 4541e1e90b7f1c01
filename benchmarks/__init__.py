"""Measurements: ratios within one run, for a lone time says nothing of another machine."""
