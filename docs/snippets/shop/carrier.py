from datetime import timedelta
from urllib.error import HTTPError
from urllib.request import urlopen

from taskworks import Retry, Snooze, task


@task(max_attempts=3, backoff=60, give_up_on=HTTPError)
def book_parcel(order_id: int) -> str:
    try:
        with urlopen(f"https://carrier.example.com/{order_id}", timeout=10) as answer:
            return answer.read().decode()
    except HTTPError as error:
        if error.code == 429:
            wait = float(error.headers["Retry-After"])
            raise Retry("The carrier is busy.", after=wait) from error
        if error.code == 425:
            raise Snooze("It is not packed yet.", after=timedelta(hours=1)) from error
        raise
