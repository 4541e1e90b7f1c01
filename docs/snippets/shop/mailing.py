from taskworks import Batch, WorkflowResult, task


@task
def send(address: str) -> None:
    print(f"To {address}")


@task
def tell_sender(text: str) -> None:
    print(text)


def send_to(addresses: list[str]) -> WorkflowResult:
    done = tell_sender.step("All mails are sent.")
    sorry = tell_sender.step("Some mails could not be sent.")
    with Batch("mailing", then=done, failed=sorry) as batch:
        for address in addresses:
            batch.add(send, address)
    return batch.result
