from shop.crash import crash
from shop.primes import count_primes

counted = count_primes.enqueue(10_000)
crashed = crash.enqueue()

print(counted.wait(timeout=60).return_value)
print(crashed.wait(timeout=60).errors[0].traceback)
