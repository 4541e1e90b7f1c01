from taskworks import task


@task(queue_name="mail")
def write_to(name: str, language: str = "en") -> str:
    return f"Dear {name}" if language == "en" else f"Cher {name}"
