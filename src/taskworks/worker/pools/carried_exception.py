"""
An exception of a child process, as its worker gets it: with its class, its text and its frames.

It is not pickled, because that may fail, or execute a task's code in the worker. It is described by
texts, and the worker makes another like it. That is of the same class if the worker has imported
that, or else of a class with the same name.
"""

import sys
from contextlib import suppress
from dataclasses import dataclass
from traceback import walk_tb
from types import TracebackType
from typing import Any

MAX_FRAMES = 100  # the innermost are kept
MAX_CHAINED = 20  # causes, contexts and members of groups that are kept
MAX_TEXT = 10_000  # characters
SIMPLE = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Frame:
    """A place in the code."""

    module: str
    file: str
    function: str
    line: int


@dataclass(frozen=True, slots=True)
class Described:
    """An exception in words; ``args`` are those that are simple values, or else its text."""

    module: str
    name: str
    text: str
    args: tuple[Any, ...]
    frames: tuple[Frame, ...]
    notes: tuple[str, ...]
    cause: "Described | None"
    context: "Described | None"
    hides_context: bool
    members: "tuple[Described, ...]"


class CarriedException(Exception):  # noqa: N818 - it stands for another
    """Becomes, when it is read from the pipe, an exception like the one that it describes."""

    def __init__(self, exception: BaseException) -> None:
        super().__init__()
        try:
            self.described = _Describing().describe(exception)
        except Exception:  # noqa: BLE001 - its class may do anything
            self.described = _Describing().describe(Exception(object.__repr__(exception)))

    def __reduce__(self) -> tuple[Any, ...]:
        return (restored, (self.described,))


# In the child.


class _Describing:
    """Describes an exception and what it is from, each once."""

    def __init__(self) -> None:
        self._seen: list[BaseException] = []

    def describe(self, exception: BaseException) -> Described:
        self._seen.append(exception)
        kind, text, args = type(exception), _text(exception), _simple(exception)
        return Described(
            module=str(kind.__module__),
            name=str(kind.__qualname__),
            text=text,
            args=(text,) if args is None else args,
            frames=_frames(exception.__traceback__),
            notes=_notes(exception),
            cause=self._other(exception, "__cause__"),
            context=self._other(exception, "__context__"),
            hides_context=exception.__suppress_context__,
            members=self._members(exception),
        )

    def _other(self, exception: BaseException, name: str) -> Described | None:
        with suppress(Exception):  # a task's exception may do anything
            other = getattr(exception, name)
            return self._described_once(other) if isinstance(other, BaseException) else None
        return None

    def _members(self, exception: BaseException) -> tuple[Described, ...]:
        if not isinstance(exception, BaseExceptionGroup):
            return ()
        members = [self._described_once(member) for member in exception.exceptions]
        return tuple(member for member in members if member)

    def _described_once(self, exception: BaseException) -> Described | None:
        is_seen = any(exception is seen for seen in self._seen)
        return None if is_seen or len(self._seen) >= MAX_CHAINED else self.describe(exception)


def _text(exception: BaseException) -> str:
    try:
        return str(exception)[:MAX_TEXT]
    except BaseException as odd:  # noqa: BLE001 - as above
        return f"<no text: {type(odd).__name__}>"


def _simple(exception: BaseException) -> tuple[Any, ...] | None:
    """Return the arguments if they are simple values, of a group its message, else None."""
    with suppress(Exception):
        if isinstance(exception, BaseExceptionGroup):
            return (exception.message,)
        if all(type(arg) in SIMPLE and len(str(arg)) <= MAX_TEXT for arg in exception.args):
            return tuple(exception.args)
    return None


def _frames(traceback: TracebackType | None) -> tuple[Frame, ...]:
    return tuple(
        Frame(
            str(frame.f_globals.get("__name__", "")),
            frame.f_code.co_filename,
            frame.f_code.co_name,
            line or 0,
        )
        for frame, line in walk_tb(traceback)
    )[-MAX_FRAMES:]


def _notes(exception: BaseException) -> tuple[str, ...]:
    with suppress(Exception):
        return tuple(str(note)[:MAX_TEXT] for note in getattr(exception, "__notes__", ()))
    return ()


# In the worker.


def restored(described: Described) -> BaseException:
    """Return an exception like the one that is described; whatever that is, do not raise."""
    try:
        exception = _instance(described)
        for note in described.notes:
            BaseException.add_note(exception, note)
        exception.__cause__ = restored(described.cause) if described.cause else None
        exception.__context__ = restored(described.context) if described.context else None
        exception.__suppress_context__ = described.hides_context
        return BaseException.with_traceback(exception, _traceback(described.frames))
    except Exception:  # noqa: BLE001 - its class may do anything
        return Exception(f"{described.module}.{described.name}: {described.text}")


def _instance(described: Described) -> BaseException:
    """Return an instance that has the same text; a task's code is not called for it."""
    if described.members:
        members = [restored(member) for member in described.members]
        return BaseExceptionGroup(str(described.args[0]), members)
    kind = _loaded_class(described) or Exception
    with suppress(Exception):
        made = _made(kind, described.args)
        if (
            _is_as_loaded(kind, described)
            and _text_is_a_builtins(kind)
            and str(made) == described.text
        ):
            return made
    return _made(_stand_in(kind, described), described.args)


def _made(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    builtin: Any = _builtin_of(kind)
    made: BaseException = kind(*args) if kind is builtin else builtin.__new__(kind, *args)
    return made


def _builtin_of(kind: type[BaseException]) -> type[BaseException]:
    return next(base for base in kind.__mro__ if base.__module__ == "builtins")


def _is_as_loaded(kind: type[BaseException], described: Described) -> bool:
    return (kind.__module__, kind.__qualname__) == (described.module, described.name)


def _text_is_a_builtins(kind: type[BaseException]) -> bool:
    return kind.__str__ is _builtin_of(kind).__str__


def _loaded_class(described: Described) -> type[BaseException] | None:
    """Return the class if its module is imported; nothing is imported for it."""
    found: Any = sys.modules.get(described.module)
    with suppress(Exception):
        for name in described.name.split("."):
            found = vars(found)[name]
        if isinstance(found, type) and issubclass(found, BaseException):
            return found
    return None


def _is_plain(kind: type) -> bool:
    """Return whether deriving from the class calls nothing of a task's."""
    own = [vars(base) for base in kind.__mro__ if base is not object]
    return type(kind) is type and not any("__init_subclass__" in names for names in own)


def _stand_in(kind: type[BaseException], described: Described) -> type[BaseException]:
    """Return a class with the same name and text, which derives from ``kind`` if that is plain."""
    base = kind if _is_plain(kind) else _builtin_of(kind)
    content = {
        "__module__": described.module,
        "__qualname__": described.name,
        "__str__": lambda exception: described.text,
    }
    return type(described.name.rpartition(".")[2], (base,), content)


def _traceback(frames: tuple[Frame, ...]) -> TracebackType | None:
    traceback = None
    for frame in reversed(frames):
        traceback = TracebackType(traceback, _empty_frame(frame), -1, frame.line)
    return traceback


def _empty_frame(frame: Frame) -> Any:
    """Return a frame that looks as if it were in that place; it has no variables."""
    code = compile("_frame()", frame.file, "eval").replace(
        co_name=frame.function, co_firstlineno=max(1, frame.line)
    )
    return eval(  # noqa: S307 - the line above
        code, {"__name__": frame.module, "__file__": frame.file, "_frame": sys._getframe}
    )
