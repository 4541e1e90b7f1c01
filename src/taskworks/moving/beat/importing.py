"""
Make schedules of what beat knows. A schedule that was imported before is brought up to date, but
for the columns that a person has changed since.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from taskworks import discovery
from taskworks.database.tables import has_table
from taskworks.database.transactions import writing
from taskworks.models.schedule import Schedule
from taskworks.models.schedule_validation import in_a_sentence
from taskworks.moving.beat import tables
from taskworks.moving.beat.drafts import NotNeeded, draft_of, remarks
from taskworks.moving.beat.entries import CannotImport, Entry
from taskworks.schedules import sync
from taskworks.store import store_alias

# The key in a row's userdata of what the import has said, and keys in that.
OF_BEAT = "celery_beat"
SAID, OLD_IS_DISABLED, DESCRIPTION = "said", "old_is_disabled", "description"

ADDED, UPDATED, UNCHANGED, LEFT, SKIPPED = "added", "updated", "unchanged", "left", "skipped"


class Fate(NamedTuple):
    """What has become of a schedule of beat; ``reason`` is why nothing was made of it."""

    name: str
    task: str
    result: str
    reason: str = ""


@dataclass
class Imported:
    """What has come of it."""

    fates: list[Fate] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    disabled: list[str] = field(default_factory=list)  # in the tables of beat

    @property
    def left(self) -> list[Fate]:
        """Those of which nothing could be made."""
        return [fate for fate in self.fates if fate.result == LEFT]


class Sources(NamedTuple):
    """Where schedules are read."""

    tables: str | None = None  # the alias of their database
    settings: bool = False
    app: str | None = None


def import_schedules(
    sources: Sources,
    mapped: Mapping[str, str],
    *,
    disable_old: bool = False,
    dry_run: bool = False,
) -> Imported:
    """
    Make schedules of all that the sources have; of a name that both have, of that in the tables.
    ``mapped`` has paths of tasks by their old names. A dry run finds out what would come of it.

    Raise CannotImport if a source cannot be read.
    """
    discovery.task_modules()  # which know the names of their tasks
    everything = [*_read(sources)]
    old = sources.tables if disable_old else None
    try:
        return _import_all(everything, mapped, old, disable_old=disable_old, dry_run=dry_run)
    except IntegrityError:  # another session has imported a schedule of this name in this moment
        return _import_all(everything, mapped, old, disable_old=disable_old, dry_run=dry_run)


def _import_all(
    everything: "list[Entry | tuple[str, str]]",
    mapped: Mapping[str, str],
    old: str | None,
    *,
    disable_old: bool,
    dry_run: bool,
) -> Imported:
    done = Imported()
    # The inner transaction is that of the schedules: if beat's tables are on another alias, beat
    # goes on firing until they are stored.
    with _writing(old or _alias(), dry_run=dry_run):
        with _writing(_alias(), dry_run=dry_run):
            for found in everything:
                _import(found, mapped, done, disable_old=disable_old)
        if old is not None:
            done.disabled = _disable_old(old, everything, done)
    return done


@contextmanager
def _writing(alias: str, *, dry_run: bool) -> Iterator[None]:
    """Open a transaction, or a savepoint in another one; a dry run takes it back."""
    with writing(alias):
        yield
        if dry_run:
            transaction.set_rollback(True, using=alias)


def in_both(alias: str) -> list[tuple[str, datetime | None]]:
    """
    Return the labels of schedules that are enabled here and in the tables of beat, and when beat
    has fired them since they are here; nothing if one of the tables is not there yet.
    """
    if not (tables.are_there(alias) and has_table(Schedule, _alias())):
        return []
    theirs = tables.last_runs(alias)
    here = Schedule.objects.using(_alias()).enabled().filter(label__in=[*theirs])
    return [
        (label, fired if (fired := theirs[label]) and fired > created_at else None)
        for label, created_at in here.order_by("label").values_list("label", "created_at")
    ]


def _read(sources: Sources) -> Iterator[Entry | tuple[str, str]]:
    from taskworks.moving.beat import beat_settings

    names = set()
    if sources.tables is not None:
        for found in tables.read(sources.tables):
            names.add(_name(found))
            yield found
    if sources.settings:
        for found in beat_settings.read(sources.app):
            if _name(found) not in names:
                yield found


def _name(found: Entry | tuple[str, str]) -> str:
    return found.name if isinstance(found, Entry) else found[0]


def _import(
    found: Entry | tuple[str, str], mapped: Mapping[str, str], done: Imported, *, disable_old: bool
) -> None:
    if not isinstance(found, Entry):
        done.fates.append(Fate(found[0], "", LEFT, found[1]))
        return
    try:
        result = _stored(found, draft_of(found, mapped), disable_old=disable_old)
    except NotNeeded as error:
        done.fates.append(Fate(found.name, found.task, SKIPPED, str(error)))
    except CannotImport as error:
        done.fates.append(Fate(found.name, found.task, LEFT, str(error)))
    except ValidationError as error:
        done.fates.append(Fate(found.name, found.task, LEFT, in_a_sentence(error)))
    else:
        done.fates.append(Fate(found.name, found.task, result))
        done.remarks += remarks(found)


def _stored(entry: Entry, draft: Schedule, *, disable_old: bool) -> str:
    """Store the schedule, and return what was done; raise ValidationError, CannotImport."""
    row = _rows().select_for_update().filter(label=entry.name).first()
    if row is None:
        sync.validate(draft)
        draft.userdata = {
            OF_BEAT: _noted(entry, draft, old_is_disabled=_will_be(entry, disable_old))
        }
        draft.save(using=_alias())
        return ADDED
    noted = row.userdata.get(OF_BEAT)
    if not isinstance(noted, dict) or not isinstance(noted.get(SAID), dict):
        raise CannotImport(
            "A schedule with this label is here that was not imported, so it is left as it is. "
            "Rename one of them."
        )
    return _updated(entry, row, noted, draft, disable_old=disable_old)


def _updated(
    entry: Entry, row: Schedule, noted: dict[str, Any], draft: Schedule, *, disable_old: bool
) -> str:
    sync.validate(draft)
    said, wanted = sync.read(noted[SAID]), sync.values(draft)
    was_disabled = noted.get(OLD_IS_DISABLED) is True
    if was_disabled or row.finished_at:  # beat's row was disabled here, or ours by firing
        wanted["enabled"] = said["enabled"]
    changed = False
    for name, value in wanted.items():
        if value != said.get(name, value) and getattr(row, name) == said[name]:
            setattr(row, name, value)
            changed = True
    old_is_disabled = was_disabled or _will_be(entry, disable_old)
    draft.enabled = wanted["enabled"]
    now = _noted(entry, draft, old_is_disabled=old_is_disabled)
    if now != noted:
        row.userdata = {**row.userdata, OF_BEAT: now}
        row.save(using=_alias())
    return UPDATED if changed else UNCHANGED


def _will_be(entry: Entry, disable_old: bool) -> bool:
    return disable_old and entry.is_in_tables


def _noted(entry: Entry, draft: Schedule, *, old_is_disabled: bool) -> dict[str, Any]:
    noted: dict[str, Any] = {SAID: sync.written(draft), OLD_IS_DISABLED: old_is_disabled}
    return {**noted, DESCRIPTION: entry.description} if entry.description else noted


def _disable_old(
    alias: str, everything: Iterable[Entry | tuple[str, str]], done: Imported
) -> list[str]:
    """Disable what beat would fire as well, in the caller's transaction; name it."""
    here = {fate.name for fate in done.fates if fate.result in {ADDED, UPDATED, UNCHANGED}}
    names = [
        found.name
        for found in everything
        if isinstance(found, Entry) and found.is_in_tables and found.enabled and found.name in here
    ]
    if names:
        tables.disable(alias, names)
    return names


def _rows() -> Any:
    return Schedule.objects.using(_alias())


_alias = store_alias
