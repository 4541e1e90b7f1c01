"""
Which runs are meant: one filter for the list, the REST API, the dashboard and all actions; how it
is read from text, and how the runs that it admits are read from indexes, with a bound.
"""

from taskworks.filtering.parsing import FilterError, parse
from taskworks.filtering.run_filter import RunFilter

__all__ = ["FilterError", "RunFilter", "parse"]
