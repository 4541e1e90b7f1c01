"""
`python -m tests.celery_worker.enqueuing FILE SECONDS` enqueues as many runs as each line of its
input says. They write their numbers into the file, and take so many seconds.
"""

import sys

import django


def main(file: str, seconds: str) -> None:
    django.setup()
    from tests.celery_worker.shelf import add_line

    number = 0
    for line in sys.stdin:
        for _ in range(int(line)):
            add_line.enqueue(file, str(number), float(seconds))
            number += 1
        print(line.strip(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
