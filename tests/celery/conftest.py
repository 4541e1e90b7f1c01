"""The project has tests of its own, which test_project.py executes."""

collect_ignore = ["project"]
