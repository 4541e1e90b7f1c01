"""What was done, in the order in which it was."""

import os
from pathlib import Path

PATH = Path(os.environ["SHOP_NOTES"])


def note(text):
    with PATH.open("a") as file:
        file.write(f"{text}\n")


def notes():
    return PATH.read_text().splitlines() if PATH.exists() else []
