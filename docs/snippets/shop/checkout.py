from taskworks import TaskContext, task


@task(takes_context=True, max_attempts=5, retry_on=[OSError], backoff=60)
def check_out(context: TaskContext, order_id: int) -> str:
    charge_id: str = context.step("charge", charge, order_id, key=context.step_key("charge"))
    context.step("book", book, order_id, charge_id, atomic=True)
    for number in range(2):
        context.step(f"mail {number}", send_mail, order_id, number)
    return charge_id


def charge(order_id: int, key: str) -> str:
    print("charging", order_id)  # the provider charges once for each key
    return f"ch_{order_id}"


def book(order_id: int, charge_id: str) -> None:
    print("booking", charge_id)  # writes to the project's database


def send_mail(order_id: int, number: int) -> None:
    print("mailing", number)
