import os

from taskworks import task


@task(executor="process")
def crash() -> None:
    os._exit(7)
