import logging

from taskworks import task

logger = logging.getLogger(__name__)


@task(max_attempts=2, backoff=0)
def count_lines(path: str) -> int:
    logger.info("Reading %s.", path)
    with open(path) as lines:
        return sum(1 for _ in lines)
