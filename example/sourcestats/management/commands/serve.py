import time
from importlib.util import find_spec
from typing import Any

from django.contrib.auth.models import User
from django.core.management import CommandError, CommandParser, call_command
from django.core.management.base import BaseCommand

from sourcestats.processes import (
    ManagedProcess,
    ProcessEndedError,
    sigterm_like_ctrl_c,
    start_web_server,
    start_worker,
    stopped_at_the_end,
)


class Command(BaseCommand):
    help = "Serve the example and run a worker, until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--port", type=int, default=8000, help="port of the web server (default: 8000)"
        )
        parser.add_argument(
            "--threads", type=int, default=4, help="number of the worker's threads (default: 4)"
        )

    def handle(self, *, port: int, threads: int, verbosity: int, **options: Any) -> None:
        if find_spec("uvicorn") is None:
            raise CommandError("This needs uvicorn: pip install 'django-taskworks[example]'.")
        call_command("migrate", interactive=False, verbosity=0)
        create_user()
        try:
            with sigterm_like_ctrl_c():
                self.serve(port, threads, verbosity)
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")
        except ProcessEndedError as problem:
            raise CommandError(str(problem)) from problem

    def serve(self, port: int, threads: int, verbosity: int) -> None:
        worker = start_worker(threads=threads, verbosity=verbosity)
        with stopped_at_the_end(worker):
            web_server = start_web_server(port=port)
            with stopped_at_the_end(web_server):
                self.stdout.write(f"Open http://127.0.0.1:{port}/. Stop with Ctrl-C.")
                self.stdout.flush()
                watch(worker, web_server)


def create_user() -> None:
    """Create the user; a known password is safe, because the server only listens on 127.0.0.1."""
    if not User.objects.filter(username="demo").exists():
        User.objects.create_user("demo", password="demo")  # noqa: S106


def watch(*children: ManagedProcess) -> None:
    while True:
        for child in children:
            child.must_be_alive()
        time.sleep(0.2)
