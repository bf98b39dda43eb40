"""The messages between the controller and a measuring process, and their form on the pipe.

One JSON object per message, `{"say": KIND, ...fields}`. Nothing is ever unpickled or executed. The order is

    controller  Hello          Serve         Pin  Take               GoOn         Quit
    child              Ready          Point|Duel        Taken|Raised       Done

and for a leak check

    controller                               Examine                 GoOn
    child                             Point           Found|Raised         Done

and for the second check of a suspect, between two tests

    controller  Recheck
    child              Found
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Protocol, TypeAlias, get_args

from pytest_perfguard.core.errors import ProtocolError
from pytest_perfguard.engine.leaks.findings import Examination, Leak
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureRequest, MeasureResult
from pytest_perfguard.engine.profile.messages import ProfileRequest, ProfileResult

#: A message holds at most a few thousand integers; more than this is not ours.
MAX_MESSAGE_BYTES: Final = 64 * 2**20

#: Made here, since the test that is being measured may have patched what makes them.
_ENCODER: Final = json.JSONEncoder(default=vars)
_DECODER: Final = json.JSONDecoder()


@dataclass(frozen=True)
class Hello:
    """First word of the controller."""

    nodeids: list[str]
    files: list[str]
    """The files that hold these tests, absolute: nothing else needs to be collected."""
    folder: str
    """An empty folder for temporary files, removed with the process."""
    fingerprints: dict[str, str] = field(default_factory=dict)
    """What the tests are in the run, by node id."""
    other_code: bool = False
    """Does the process run another revision, so that parameters may differ in their values?"""


@dataclass(frozen=True)
class Ready:
    """The child has collected."""

    found: list[str]
    problems: list[str]
    """What failed at collection, as pytest would show it."""
    notes: list[str]
    """What the child knows of its own fitness to measure."""
    collector: bool
    """Is the garbage collector on?"""
    pins: bool
    """Can it stay on one CPU?"""
    python: str
    """Version of the interpreter."""
    modules: dict[str, str]
    """The files of all modules that are imported, by name."""
    unlike: dict[str, str] = field(default_factory=dict)
    """Why the test of this node id is not the run's."""
    other_ids: dict[str, str] = field(default_factory=dict)
    """What ids the function of a test has here that is not to be had."""


@dataclass(frozen=True)
class ServeTest:
    """Run this test up to its measurement points. `next_nodeid` keeps shared fixtures alive; "" is the end."""

    nodeid: str
    next_nodeid: str


@dataclass(frozen=True)
class PointReached:
    """The test reached a measurement point and waits. `label` is "" for the whole test function."""

    label: str
    memory: bool = True
    """Is it this process whose memory the call takes?"""


@dataclass(frozen=True)
class FasterThanPoint:
    """The test reached a claim and waits: that `name` is faster than `rival`, by a factor of `by` at least."""

    label: str
    name: str
    rival: str
    by: float


@dataclass(frozen=True)
class SetAffinity:
    """Stay on this CPU, counted through those that are allowed, until the end of the measurement point; -1: be free."""

    cpu: int


@dataclass(frozen=True)
class CheckLeaks:
    """Call again and again and say what grows."""

    budget_ns: int
    """The most time for all checks of the test."""
    share: float
    """The part of it that is left for this one."""


@dataclass(frozen=True)
class RecheckLeaks:
    """Check a test in place of serving it: what of its suspects outlives the set-up in which it is called?"""

    nodeid: str
    next_nodeid: str
    label: str
    """Of the measurement point."""
    suspects: Mapping[str, float]
    """Kinds, with their growth per call."""
    budget_ns: int
    share: float


@dataclass(frozen=True)
class LeakCheckResult:
    """What a leak check found."""

    examination: Examination


@dataclass(frozen=True)
class Resume:
    """Leave the measurement point."""


@dataclass(frozen=True)
class FinishedTest:
    """The test is over, torn down. `problem` is "" or what failed, as pytest would show it."""

    problem: str
    modules: dict[str, str]
    """The files of the modules that were imported since the last message of this kind."""
    imports: list[str]
    """Of them, the modules that fresh interpreters imported for this test, and what is built in."""
    instruments: list[str] = field(default_factory=list)
    """What made the test slower or larger and could not be paused."""


@dataclass(frozen=True)
class Shutdown:
    """Last word of the controller: end in the ordinary way."""


Message: TypeAlias = (
    Hello
    | Ready
    | ServeTest
    | PointReached
    | FasterThanPoint
    | SetAffinity
    | MeasureRequest
    | MeasureResult
    | CallRaised
    | CheckLeaks
    | RecheckLeaks
    | LeakCheckResult
    | ProfileRequest
    | ProfileResult
    | Resume
    | FinishedTest
    | Shutdown
)
_KINDS: Final[Mapping[str, type[Message]]] = {kind.__name__: kind for kind in get_args(Message)}


class Link(Protocol):
    """One end of the pipe."""

    def send(self, message: Message) -> None: ...

    def receive(self) -> Message: ...


def encode(message: Message) -> bytes:
    """The message as bytes."""
    return _ENCODER.encode({"say": type(message).__name__, **vars(message)}).encode()


def decode(data: bytes) -> Message:
    """The message of these bytes; every field is checked, since the other side may run another version.

    Raises
    ------
    ProtocolError
        for anything that `encode` does not write.
    """
    try:
        content = _DECODER.decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not a message: {data[:80]!r} ({error})") from None
    kind = _KINDS.get(content.pop("say", None)) if isinstance(content, dict) and _is_text(content.get("say")) else None
    if kind is None:
        raise ProtocolError(f"not a message of this protocol: {data[:80]!r}")
    message: Message = _built(kind, content)
    return message


def _built(kind: type[Any], content: object) -> Any:
    """An instance of a message, or of what is in one, from its fields."""
    expected = {each.name: str(each.type) for each in fields(kind)}
    if not isinstance(content, dict):
        raise ProtocolError(f"{kind.__name__} is {content!r:.80}, expected an object")
    if set(content) != set(expected):
        raise ProtocolError(f"{kind.__name__} has the fields {sorted(content)}, expected {sorted(expected)}")
    for name, value in content.items():
        if expected[name] in _PARTS:
            part, many = _PARTS[expected[name]]
            if many and not isinstance(value, list):
                raise ProtocolError(f"{kind.__name__}.{name} is {value!r:.80}, expected a list")
            content[name] = [_built(part, item) for item in value] if many else _built(part, value)
        elif not _CHECKS[expected[name]](value):
            raise ProtocolError(f"{kind.__name__}.{name} is {value!r:.80}, expected {expected[name]}")
    return kind(**content)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_readings(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(readings, list) and readings and all(map(_is_whole, readings))
        for name, readings in value.items()
    )


def _is_recorded(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(totals, list) and totals and all(map(_is_amount, totals)) for totals in value.values()
    )


def _is_amount(value: object) -> bool:
    # A whole number of hundreds of digits cannot even be asked whether it is finite.
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 and math.isfinite(value)
    )


#: What is no plain value, by the annotation of the field; and is it a list of them?
_PARTS: Final[Mapping[str, tuple[type, bool]]] = {
    "Examination": (Examination, False),
    "Sequence[Leak]": (Leak, True),
}
#: By the annotation of the field.
_CHECKS: Final = {
    "str": _is_text,
    "int": _is_whole,
    "bool": lambda value: isinstance(value, bool),
    "float": _is_amount,
    "list[str]": _is_texts,
    "Sequence[str]": _is_texts,
    "Mapping[str, float]": lambda value: isinstance(value, dict) and all(map(_is_amount, value.values())),
    "dict[str, object]": lambda value: isinstance(value, dict),
    "dict[str, str]": lambda value: isinstance(value, dict) and all(map(_is_text, value.values())),
    "Mapping[str, list[int]]": _is_readings,
    "Recorded": _is_recorded,
}
