"""The exit codes of subcommands, besides those of Django's commands."""

TIMED_OUT = 3  # the wait is over
INTERRUPTED = 130  # ended by Ctrl-C
