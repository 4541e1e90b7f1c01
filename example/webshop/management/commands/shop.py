import signal
from threading import Event
from typing import Any

from django.core.management import CommandParser
from django.core.management.base import BaseCommand

from webshop import load


class Command(BaseCommand):
    help = "Keep a shop's tasks coming, until SIGTERM or Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--per-second", type=float, default=4.0, help="customers per second (default: 4)"
        )

    def handle(self, *, per_second: float, **options: Any) -> None:
        stopped = Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        load.run(stopped, per_second=per_second)
