from urllib.error import HTTPError
from urllib.request import urlopen

from taskworks import Limit, TaskContext, task

GEOCODER = Limit("geocoder", by="account", rate="100/m", burst=10, total_rate="1000/m")


@task(limit=GEOCODER, takes_context=True)
def geocode(context: TaskContext, account: str, address_id: int) -> str:
    url = f"https://geo.example.com/{account}/{address_id}"
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.read().decode()
    except HTTPError as error:
        if error.code == 429:
            context.hold(float(error.headers["Retry-After"]))
        raise
