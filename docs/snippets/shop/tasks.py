from taskworks import task


@task
def count_words(text: str) -> int:
    return len(text.split())
