"""
What users hold on to, as it is and as it is recorded in ``recorded/``.

``python -m tests.surface`` writes the records anew, so that a change is seen in their diff.
"""
