from django.apps import AppConfig


class Leisurely(AppConfig):
    """Who leaves has ten minutes for it, however slow the machine is."""

    name = "tests.stopping.leisurely"

    def ready(self) -> None:
        from taskworks.management import worker_command
        from taskworks.worker.pools import processes

        worker_command.EXIT_TIMEOUT = processes.EXIT_TIMEOUT = 600.0
