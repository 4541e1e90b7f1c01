from taskworks import task


@task(max_attempts=3, timeout=60)
def import_prices(path: str, currency: str = "EUR") -> int:
    with open(path) as lines:
        return sum(1 for line in lines if line.strip())


@task(priority=10)
async def greet(name: str) -> str:
    return f"Hello, {name}"
