from datetime import timedelta

from taskworks import TaskContext, task


@task(takes_context=True)
def pay_out(context: TaskContext, payout_id: int) -> str:
    context.step("ask", ask, payout_id, context.task_result.id)
    answer = context.wait("decision", timeout=timedelta(days=7))
    if answer is None:
        return "nobody has decided"
    if not answer.value["approved"]:
        return f"refused by {answer.value['by']}"
    context.sleep("cool down", timedelta(days=3))
    context.step("pay", pay, payout_id)
    return "paid"


def ask(payout_id: int, run_id: str) -> None:
    print(f"mail: please decide on payout {payout_id} at /decide/{run_id}/")


def pay(payout_id: int) -> None:
    print("paying", payout_id)
