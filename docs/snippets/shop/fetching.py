import asyncio

from taskworks import task


@task
async def wait_a_little(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds
