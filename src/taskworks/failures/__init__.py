"""
Failures of runs, as groups: those of one task, with one exception, in one place of the project.

They are read from the record, by one worker at a time, so a failure is in its group once, whoever
has written it and whatever has died. A task that fails pays for nothing.
"""
