"""A deferrable task of an endpoint, and a typed task, with steps and a wait."""

from taskworks import TaskResult, current_context
from taskworks.endpoints import deferrable_task
from taskworks.models import RunState, TaskRun
from taskworks.typed import TypedTask
from taskworks.typed.params import IntParameter
from tests.behavior import executed, run_worker
from tests.endpoints.models import Event, Order
from tests.endpoints.orders import OrderEndpoint, record


class Approving(OrderEndpoint):
    @deferrable_task()
    @staticmethod
    def approve(order: Order) -> None:
        context = current_context()
        assert context
        context.step("ask", record, order, "asked")
        answer = context.wait("approved")
        assert answer
        context.step("note", record, order, answer.value)


class Approve(TypedTask):
    """Waits for a factor."""

    inputs = {"number": IntParameter()}
    outputs = {"product": IntParameter()}

    def run(self, number: int) -> int:
        context = self.context
        assert context
        doubled = context.step("double", lambda: 2 * number)
        answer = context.wait("factor")
        assert answer
        return int(doubled * answer.value)


def waiting(result: TaskResult) -> TaskResult:
    run_worker()
    assert TaskRun.objects.get(id=result.id).state == RunState.SCHEDULED
    return result


def test_a_deferrable_task(order: Order) -> None:
    reference = {"model": "endpoints.Order", "pk": order.pk, "using": "default"}
    result = waiting(Approving.approve.enqueue(reference))
    assert result.send("approved", "yes")
    executed(result)
    assert [*Event.objects.order_by("pk").values_list("name", flat=True)] == ["asked", "yes"]


def test_a_typed_task() -> None:
    result = waiting(Approve.enqueue(number=3))
    assert result.send("factor", 7)
    assert executed(result).return_value == {"product": 42}
