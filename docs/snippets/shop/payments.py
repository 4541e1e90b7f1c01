from taskworks import task


@task
def charge(order_id: int) -> str:
    raise ValueError(f"order {order_id} has no card")
