"""``Limit``: how many runs of a key, and how many in total, may be in hand at once."""

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from taskworks.database.fields import JSONTextField, NameField
from taskworks.models import readable
from taskworks.options.limits import MAX_NUMBER

NUMBERS = ("at_once", "total")
IN_RANGE = [MinValueValidator(1), MaxValueValidator(MAX_NUMBER)]


class Limit(models.Model):
    """
    The numbers of a limit, which workers read with each claim. Code and settings declare them, and
    a person may change them; see ``taskworks.control.change_limit``. None is no limit.
    """

    name = NameField(_("name"), max_length=64, primary_key=True)
    at_once = models.PositiveIntegerField(_("at once"), null=True, blank=True, validators=IN_RANGE)
    total = models.PositiveIntegerField(_("total"), null=True, blank=True, validators=IN_RANGE)
    # The numbers that were declared last; None if nobody declares it, and then it limits nothing.
    declared = JSONTextField(null=True, holds=readable.a_dict, editable=False)
    # By backend and executor: the lane from which a run was claimed last.
    turns = JSONTextField(default=dict, holds=readable.a_dict, editable=False)

    class Meta:
        verbose_name = _("limit")
        verbose_name_plural = _("limits")

    def __str__(self) -> str:
        return self.name

    @property
    def in_force(self) -> dict[str, int | None]:
        """Its numbers; none of them limits anything if nobody declares it."""
        if self.declared is None:
            return dict.fromkeys(NUMBERS)
        # On SQLite, somebody may have written anything into them.
        numbers = {name: getattr(self, name) for name in NUMBERS}
        return {name: one if type(one) is int else None for name, one in numbers.items()}

    @property
    def changed(self) -> dict[str, Any]:
        """The declared numbers that a person has changed."""
        said = self.declared if isinstance(self.declared, dict) else {}
        return {name: said[name] for name in said if getattr(self, name, None) != said[name]}
