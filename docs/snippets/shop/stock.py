from taskworks import current_context, task


def count_shelf(shelf: int) -> int:
    if context := current_context():  # None outside a task
        context.add_message(f"Counting shelf {shelf}.")
    return 10 * shelf


@task
def count_stock(shelves: int) -> int:
    return sum(count_shelf(shelf) for shelf in range(1, shelves + 1))
