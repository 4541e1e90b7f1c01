from datetime import date
from typing import Annotated, Literal

from django.contrib.auth.models import User
from taskworks import task
from taskworks.typed import api_task
from taskworks.typed.params import StringParameter


@api_task
@task(typed=True, max_attempts=3)
def invite(
    user: User,
    until: date,
    kind: Literal["guest", "member"] = "guest",
    note: Annotated[str, StringParameter(max_length=200, help_text="What they will read")] = "",
) -> str:
    return f"{user.username} is a {kind} until {until:%d.%m.%Y}. {note}".strip()
