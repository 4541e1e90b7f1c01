from taskworks import task


@task(executor="process", timeout=60)
def count_primes(below: int) -> int:
    return sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, below))
