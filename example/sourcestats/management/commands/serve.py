import time
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any

from django.contrib.auth.models import User
from django.core.management import CommandError, CommandParser, call_command
from django.core.management.base import BaseCommand

from sourcestats.processes import (
    ManagedProcess,
    ProcessEndedError,
    sigterm_like_ctrl_c,
    start_shop,
    start_web_server,
    start_worker,
    stopped_at_the_end,
)

OPERATOR = "operator"  # who may do everything on the dashboard; the password is the same


class Command(BaseCommand):
    help = "Serve the example and run a worker, until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--port", type=int, default=8000, help="port of the web server (default: 8000)"
        )
        parser.add_argument(
            "--threads", type=int, default=4, help="number of the worker's threads (default: 4)"
        )
        parser.add_argument(
            "--no-shop", action="store_true", help="leave out the shop that enqueues all the time"
        )

    def handle(
        self, *, port: int, threads: int, no_shop: bool, verbosity: int, **options: Any
    ) -> None:
        if find_spec("uvicorn") is None:
            raise CommandError("This needs uvicorn: pip install 'django-taskworks[example]'.")
        call_command("migrate", interactive=False, verbosity=0)
        create_users()
        try:
            with sigterm_like_ctrl_c():
                self.serve(port, threads, verbosity, with_shop=not no_shop)
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")
        except ProcessEndedError as problem:
            raise CommandError(str(problem)) from problem

    def serve(self, port: int, threads: int, verbosity: int, *, with_shop: bool) -> None:
        with ExitStack() as children:

            def started(child: ManagedProcess) -> ManagedProcess:
                return children.enter_context(stopped_at_the_end(child))

            running = [
                started(start_worker(threads=threads, verbosity=verbosity)),
                started(start_web_server(port=port)),
                *([started(start_shop())] if with_shop else []),
            ]
            self.stdout.write(f"Open http://127.0.0.1:{port}/. Stop with Ctrl-C.")
            self.stdout.write(f"The dashboard is at /dashboard/, for {OPERATOR} ({OPERATOR}).")
            self.stdout.flush()
            watch(*running)


def create_users() -> None:
    """Create them; known passwords are safe, because the server only listens on 127.0.0.1."""
    if not User.objects.filter(username="demo").exists():
        User.objects.create_user("demo", password="demo")  # noqa: S106
    if not User.objects.filter(username=OPERATOR).exists():
        User.objects.create_superuser(OPERATOR, password=OPERATOR)


def watch(*children: ManagedProcess) -> None:
    while True:
        for child in children:
            child.must_be_alive()
        time.sleep(0.2)
