from taskworks import Backoff

backoff = Backoff(initial=10, factor=2, maximum=60, jitter=0)
print([backoff.delay(failures) for failures in range(1, 6)])
