"""``Problem``: what is wrong, in a sentence, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum

from taskworks.documentation import page


class Severity(StrEnum):
    """How much it matters."""

    CRITICAL = "critical"  # runs are not executed, or may be lost
    WARNING = "warning"  # something is slower or riskier than it should be
    NOTICE = "notice"  # as somebody wants it to be; nothing to be alarmed by


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong at this moment."""

    id: str  # of the rule, such as "queue_without_worker"
    severity: Severity
    about: str  # what has it, such as "the queue 'mail'"; one rule may find several
    sentence: str
    remedy: str

    @property
    def page(self) -> str:
        """The address of what the documentation says about it."""
        return page("reference/problems", self.id.replace("_", "-"))


@dataclass(frozen=True, slots=True)
class Unknown:
    """A rule that could not be asked, and why."""

    id: str
    sentence: str
