"""Models whose methods are scheduled: with a key of each kind."""

import uuid
from typing import Any

from django.db import models


class Visible(models.Manager["Parcel"]):
    def get_queryset(self) -> models.QuerySet["Parcel"]:
        return super().get_queryset().filter(is_hidden=False)


class Counted(models.Model):
    """Something whose methods are called."""

    calls = models.IntegerField(default=0)
    last_text = models.CharField(max_length=100, default="")

    class Meta:
        abstract = True

    def remember(self, message: dict[str, Any]) -> None:
        text = str(message["task"].userdata.get("text", ""))
        self.calls, self.last_text = models.F("calls") + 1, text  # two may call it at once
        self.save(update_fields=["calls", "last_text"])

    def without_message(self) -> None:
        return None

    @staticmethod
    def of_all(message: dict[str, Any]) -> str:
        return "of all"

    @classmethod
    def of_class(cls, message: dict[str, Any]) -> str:
        return cls.__name__


class Letter(Counted):
    id = models.BigAutoField(primary_key=True)

    def __str__(self) -> str:
        return f"letter {self.id}"


class Parcel(Counted):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    is_hidden = models.BooleanField(default=False)

    objects = Visible()

    def __str__(self) -> str:
        return f"parcel {self.id}"


class Named(Counted):
    name = models.CharField(max_length=100, primary_key=True)

    def __str__(self) -> str:
        return self.name


class Registered(Letter):
    """Whose key is its parent's."""

    number = models.CharField(max_length=20, default="")

    def __str__(self) -> str:
        return self.number
