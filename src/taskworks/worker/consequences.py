"""What a worker does at once when runs have ended, and a sweep or another worker would do later."""

from collections.abc import Iterable
from threading import Event

from taskworks.duties.unblock import Followers, ParkedRuns
from taskworks.duties.workflows import EndedMembers
from taskworks.models import TaskRun
from taskworks.recording.events import Subscriber
from taskworks.store import Store
from taskworks.worker.claiming.intake import Intake
from taskworks.worker.claiming.slots import FreedSlots


class Consequences:
    """
    Unblocks what has waited for runs that have ended, and for pauses; ends workflows; uses the
    slots that limits have again. The intake looks at once for what becomes ready.

    ``has_made_ready`` is set by others that have made runs ready. ``subscribers`` are to hear of
    the outcomes that are written, in this order.
    """

    def __init__(self, store: Store, intake: Intake, has_made_ready: Event) -> None:
        self._intake, self._has_made_ready = intake, has_made_ready
        self._followers, self.parked = Followers(store), ParkedRuns(store)
        self._ended_members = EndedMembers(store)
        self.freed_slots = FreedSlots(store, intake.has_slots, intake.is_shared)
        self.subscribers: list[Subscriber] = [
            self._followers,
            self._ended_members,
            self.freed_slots,
        ]

    @property
    def may_have_more(self) -> bool:
        """True if runs are left that can be unblocked."""
        return self.parked.may_have_more or self._followers.may_have_more

    def unblock(self) -> None:
        """Unblock what has waited for runs that have just ended, or for pauses."""
        has_unblocked = self._followers.unblock()
        if self.parked.unblock() or has_unblocked or self._has_made_ready.is_set():
            self._has_made_ready.clear()
            self._intake.wake()

    def use_freed_slots(self) -> None:
        """
        Look for runs that have waited for the slots of those that have just ended, or for their
        rate.
        """
        if self.freed_slots.take():
            self._intake.look_for_limited()
        self._intake.take_openings()

    def end_workflows(self, in_hand: Iterable[TaskRun]) -> bool:
        """
        End those whose last members have just ended; return whether something has changed. Best
        after a claim, which often brings more members: then there is nothing to ask.
        """
        has_changed = self._ended_members.look_after(in_hand)
        if has_changed:
            self._intake.wake()
        return has_changed
