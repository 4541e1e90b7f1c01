"""The dashboard: pages on which people see the runs of a project, and act on them."""
