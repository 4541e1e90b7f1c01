import sys
import time
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError, CommandParser, call_command
from django.core.management.base import BaseCommand

from sourcestats import surveying
from sourcestats.draining import drain
from sourcestats.models import Survey
from sourcestats.outcome import Outcome, outcome_of
from sourcestats.processes import ProcessEndedError, sigterm_like_ctrl_c
from sourcestats.terminal import Terminal
from sourcestats.waiting import DeadlineError
from taskworks.exceptions import InvalidWorkflow

INTERRUPTED = 130


class Command(BaseCommand):
    help = "Survey Python source with a real worker process, and check the results."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--source",
            type=folder,
            default=settings.SURVEYED_SOURCE,
            metavar="DIR",
            help="the folder to survey (default: the installed Django)",
        )
        parser.add_argument(
            "--threads", type=int, default=4, help="number of the worker's threads (default: 4)"
        )
        parser.add_argument(
            "--deadline",
            type=float,
            default=300,
            metavar="SECONDS",
            help="give up after this many seconds (default: 300)",
        )

    def handle(self, *, source: Path, threads: int, deadline: float, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        self.terminal = Terminal()
        try:
            with sigterm_like_ctrl_c():
                outcome = self.survey(source, threads, deadline)
        except (InvalidWorkflow, ProcessEndedError, DeadlineError) as problem:
            raise CommandError(str(problem)) from problem
        except KeyboardInterrupt:
            sentence = "Interrupted. The remaining runs wait for the next worker."
            raise CommandError(sentence, returncode=INTERRUPTED) from None
        self.show(outcome)
        if outcome.problems:
            sys.exit(1)

    def survey(self, source: Path, threads: int, deadline: float) -> Outcome:
        started = time.monotonic()
        survey = self.enqueue(source)
        exit_code = drain(
            survey,
            threads=threads,
            deadline=deadline,
            progress=self.terminal.progress(surveying.progress_of(survey.workflow()).modules),
        )
        seconds = time.monotonic() - started
        return outcome_of(survey, worker_exit_code=exit_code, seconds=seconds)

    def enqueue(self, source: Path) -> Survey:
        started = time.monotonic()
        survey = surveying.start(source)
        seconds = time.monotonic() - started
        runs = sum(survey.workflow().counts().values())
        self.terminal.print_line(f"{runs} runs enqueued in {seconds:.2f} seconds")
        return survey

    def show(self, outcome: Outcome) -> None:
        self.terminal.show_facts(facts_about(outcome))
        self.terminal.show_longest(outcome.summary["longest_functions"])
        for failure in outcome.failures:
            self.terminal.print_line(f"Failed: {failure.path}: {failure.reason}")
        for problem in outcome.problems:
            self.terminal.print_line(f"Error: {problem}")
        self.terminal.print_line(last_line(outcome))


def folder(argument: str) -> Path:
    path = Path(argument).resolve()
    if not path.is_dir():
        raise ArgumentTypeError(f"must be a folder, not {argument!r}")
    return path


def facts_about(outcome: Outcome) -> list[tuple[str, str]]:
    progress, summary = outcome.progress, outcome.summary
    return [
        ("modules", f"{progress.modules:,}"),
        # One more for the summary.
        ("runs", f"{progress.modules + 1:,}"),
        ("failures", f"{progress.failed:,}"),
        ("functions", f"{summary['functions']:,}"),
        ("comment share", f"{summary['comment_share']:.1%}"),
        ("seconds", f"{outcome.seconds:.2f}"),
    ]


def last_line(outcome: Outcome) -> str:
    progress = outcome.progress
    return (
        f"demo: modules={progress.modules} successful={progress.successful} "
        f"failed={progress.failed} functions={outcome.summary['functions']} "
        f"seconds={outcome.seconds:.2f}"
    )
