from taskworks import Unique, task


@task(unique=Unique("customer_id"))
def sync_customer(customer_id: int, reason: str = "") -> None:
    print(f"synchronize customer {customer_id}: {reason}")
