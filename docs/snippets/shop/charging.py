from uuid import UUID

from taskworks.celery import shared_task


class GatewayError(Exception):
    """The gateway does not answer."""


@shared_task(bind=True, max_retries=5, default_retry_delay=30)
def charge(self, order_id: UUID) -> str:
    try:
        return pay(order_id)
    except GatewayError as exc:
        raise self.retry(exc=exc, countdown=2**self.request.retries)  # noqa: B904


def pay(order_id: UUID) -> str:
    return f"paid {order_id}"
