from urllib.request import urlopen

from taskworks import Backoff, task


@task(max_attempts=5, backoff=Backoff(initial=10, factor=3), retry_on=OSError)
def fetch_rate(currency: str) -> float:
    with urlopen(f"https://rates.example.com/{currency}", timeout=10) as answer:
        return float(answer.read())
