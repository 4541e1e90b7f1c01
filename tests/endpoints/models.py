import uuid
from typing import Any

from django.db import models

from taskworks.database.fields import JSONTextField


class Order(models.Model):
    id = models.BigAutoField(primary_key=True)
    number = models.CharField(max_length=40, unique=True)
    note = models.TextField(default="", blank=True)
    total = models.IntegerField(default=0)
    lines = JSONTextField(default=list)
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.number


class Parcel(models.Model):
    """With a key that is not JSON, and a save() that changes another field."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    weight = models.IntegerField(default=0)
    label = models.CharField(max_length=40, default="")

    def __str__(self) -> str:
        return self.label

    def save(self, **options: Any) -> None:
        self.label = f"{self.weight} kg"
        super().save(**options)


class Letter(models.Model):
    """With values that cannot simply be copied and compared."""

    id = models.BigAutoField(primary_key=True)
    paper = models.FileField(null=True)
    stamp = models.BinaryField(default=b"")

    def __str__(self) -> str:
        return str(self.paper)


class Event(models.Model):
    """Something that happened, recorded by the tasks of these tests."""

    id = models.BigAutoField(primary_key=True)
    order = models.CharField(max_length=40)
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name
