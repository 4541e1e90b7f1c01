from argparse import ArgumentParser
from typing import Any

from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand

from sourcestats.processes import ProcessEndedError, sigterm_like_ctrl_c
from sourcestats.tenants import Race, race
from taskworks import Task

INTERRUPTED = 130


class Command(BaseCommand):
    help = "Enqueue many imports of one tenant and a few of another, with a limit and without."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--many", type=int, default=10_000, help="of one tenant (10000)")
        parser.add_argument("--few", type=int, default=10, help="of the other (10)")
        parser.add_argument(
            "--deadline", type=float, default=300, help="give up after this many seconds (300)"
        )

    def handle(self, *, many: int, few: int, deadline: float, **options: Any) -> None:
        from sourcestats.tasks import import_in_turn, import_row

        call_command("migrate", interactive=False, verbosity=0)
        try:
            with sigterm_like_ctrl_c():
                limited = self.run_race("With the limit", import_in_turn, many, few, deadline)
                unlimited = self.run_race("Without it", import_row, many, few, deadline)
        except (ProcessEndedError, TimeoutError) as problem:
            raise CommandError(str(problem)) from problem
        except KeyboardInterrupt:
            raise CommandError("Interrupted.", returncode=INTERRUPTED) from None
        self.stdout.write(f"tenants: limited={limited.overtaken} unlimited={unlimited.overtaken}")

    def run_race(self, title: str, task: Task, many: int, few: int, deadline: float) -> Race:
        result = race(task, many, few, deadline)
        self.stdout.write(
            f"{title}: the {few} imports of globex were done {result.seconds:.2f} seconds after "
            f"the first import began, and {result.overtaken} of the {many} of acme before them."
        )
        return result
