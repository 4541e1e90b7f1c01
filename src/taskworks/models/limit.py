"""``Limit``: how many runs of a key, and in total, may be in hand at once, and begin in a time."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from taskworks.database.fields import JSONTextField, NameField
from taskworks.models import readable
from taskworks.options import rates
from taskworks.options.limits import MAX_NUMBER, NUMBERS, Number
from taskworks.options.rates import MAX_BURST, MAX_LENGTH, Rate

IN_HAND = ("at_once", "total")
IN_RANGE = [MinValueValidator(1), MaxValueValidator(MAX_NUMBER)]
OF_BURSTS = [MinValueValidator(1), MaxValueValidator(MAX_BURST)]


def validate_rate(text: str) -> None:
    """Raise ValidationError for text that is not a rate."""
    if problem := rates.problem_with(text):
        raise ValidationError(f"It {problem}")


class Limit(models.Model):
    """
    The numbers of a limit, which workers read with each claim. Code and settings declare them, and
    a person may change them; see ``taskworks.control.change_limit``. None means no limit.
    """

    name = NameField(_("name"), max_length=64, primary_key=True)
    at_once = models.PositiveIntegerField(_("at once"), null=True, blank=True, validators=IN_RANGE)
    total = models.PositiveIntegerField(_("total"), null=True, blank=True, validators=IN_RANGE)
    rate = NameField(
        _("rate"), max_length=MAX_LENGTH, null=True, blank=True, validators=[validate_rate]
    )
    burst = models.PositiveIntegerField(_("burst"), null=True, blank=True, validators=OF_BURSTS)
    total_rate = NameField(
        _("total rate"), max_length=MAX_LENGTH, null=True, blank=True, validators=[validate_rate]
    )
    total_burst = models.PositiveIntegerField(
        _("total burst"), null=True, blank=True, validators=OF_BURSTS
    )
    # The numbers that were declared last; None if nobody declares it, and then it limits nothing.
    declared = JSONTextField(null=True, holds=readable.a_dict, editable=False)
    # By backend and executor: the lane from which a run was claimed last.
    turns = JSONTextField(default=dict, holds=readable.a_dict, editable=False)
    # When no key of it is held any more; NULL if none ever was.
    held_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("limit")
        verbose_name_plural = _("limits")

    def __str__(self) -> str:
        return self.name

    @property
    def in_force(self) -> dict[str, int | None]:
        """How many may be in hand; that limits nothing if nobody declares it."""
        if self.declared is None:
            return dict.fromkeys(IN_HAND)
        # On SQLite, somebody may have written anything into them.
        numbers = {name: getattr(self, name) for name in IN_HAND}
        return {name: one if type(one) is int else None for name, one in numbers.items()}

    @property
    def rate_in_force(self) -> Rate | None:
        """How many of a key may be claimed in a time; likewise."""
        return None if self.declared is None else rates.rate_of(self.rate, self.burst)

    @property
    def total_rate_in_force(self) -> Rate | None:
        """How many may be claimed in a time in all; likewise."""
        return None if self.declared is None else rates.rate_of(self.total_rate, self.total_burst)

    @property
    def numbers(self) -> dict[str, Number]:
        """Its numbers as the columns have them."""
        return {name: getattr(self, name) for name in NUMBERS}

    @property
    def changed(self) -> dict[str, Any]:
        """The declared numbers that a person has changed."""
        said = self.declared if isinstance(self.declared, dict) else {}
        return {name: said[name] for name in said if getattr(self, name, None) != said[name]}
