"""The messages between the controller and a measuring process, and their encoding on the pipe.

Each message is one JSON object, `{"type": CLASS, ...fields}`. Nothing is unpickled or executed. The order of the messages:

    controller  Hello          ServeTest                SetAffinity  MeasureRequest              Resume               Shutdown
    process            Ready              PointReached                            MeasureResult         FinishedTest

`FasterThanPoint` may take the place of `PointReached`, and `CallRaised` that of `MeasureResult`. For a leak check:

    controller             ServeTest                CheckLeaks                   Resume
    process                           PointReached              LeakCheckResult          FinishedTest

For the second check of a suspect, between two tests:

    controller  RecheckLeaks
    process                   LeakCheckResult

For the profiles that explain a failure:

    controller             ServeTest                ProfileRequest                 Resume
    process                           PointReached                  ProfileResult          FinishedTest
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, TypeVar, get_args

from pytest_perfguard.core.errors import ProtocolError
from pytest_perfguard.engine.leaks.results import Leak, LeakReport
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureRequest, MeasureResult
from pytest_perfguard.engine.profile.messages import ProfileRequest, ProfileResult

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

#: A message holds at most a few thousand integers; a longer one is an error.
MAX_MESSAGE_BYTES: Final = 64 * 2**20

#: Created at import, because a measured test may patch the `json` module.
_ENCODER: Final = json.JSONEncoder(default=vars)
_DECODER: Final = json.JSONDecoder()


@dataclass(frozen=True)
class Hello:
    """The controller's first message."""

    nodeids: list[str]
    files: list[str]
    """Absolute paths of the files that hold these tests; no other file needs to be collected."""
    folder: str
    """An empty folder for temporary files, which the controller removes."""
    fingerprints: dict[str, str] = field(default_factory=dict)
    """Fingerprints of the tests of the run, by node id."""
    runs_base: bool = False
    """True if the process runs the base revision, whose parameters may have other values."""


@dataclass(frozen=True)
class Ready:
    """The process has collected its tests."""

    found: list[str]
    """Node ids of the run's tests that it has collected."""
    problems: list[str]
    """Failures of the collection, as the test runner would show them."""
    notes: list[str]
    """Conditions that affect the measurements."""
    gc_enabled: bool
    """True if the garbage collector is on."""
    can_pin: bool
    """True if the process can be pinned to one CPU."""
    python: str
    """Version of the interpreter."""
    modules: dict[str, str]
    """Files of the imported modules, by module name."""
    mismatches: dict[str, str] = field(default_factory=dict)
    """By node id, the reason why the test of this id differs from the run's."""
    other_ids: dict[str, str] = field(default_factory=dict)
    """By node id of a missing test: the ids under which its function was collected."""


@dataclass(frozen=True)
class ServeTest:
    """Run this test. Fixtures that `next_nodeid` shares stay set up; "" after the last test."""

    nodeid: str
    next_nodeid: str


@dataclass(frozen=True)
class PointReached:
    """The test has reached a measurement point and waits. `label` is "" for the whole test function."""

    label: str
    memory: bool = True
    """True if the call allocates in this process, so that its memory can be measured."""


@dataclass(frozen=True)
class FasterThanPoint:
    """The test has reached a claim and waits: `name` is faster than `rival` by a factor of at least `by`."""

    label: str
    name: str
    rival: str
    by: float


@dataclass(frozen=True)
class SetAffinity:
    """Pin the process to the CPU of this index among the allowed ones, until the end of the point; -1: undo it."""

    cpu: int


@dataclass(frozen=True)
class CheckLeaks:
    """Check the calls of this point for leaks."""

    budget_ns: int
    """Maximum time for all checks of the test."""
    share: float
    """The fraction of it that this check may take."""


@dataclass(frozen=True)
class RecheckLeaks:
    """Check which suspects of a test outlive the set-up in which it is called."""

    nodeid: str
    next_nodeid: str
    label: str
    """Label of the measurement point."""
    suspects: Mapping[str, float]
    """Growth per call, by kind."""
    budget_ns: int
    share: float


@dataclass(frozen=True)
class LeakCheckResult:
    """The result of `CheckLeaks` or `RecheckLeaks`."""

    report: LeakReport


@dataclass(frozen=True)
class Resume:
    """Leave the measurement point and continue the test."""


@dataclass(frozen=True)
class FinishedTest:
    """The test has ended and is torn down. `problem` is its failure, as the test runner would show it."""

    problem: str | None
    modules: dict[str, str]
    """Files of the modules that were imported since the last message of this kind, by module name."""
    imports: list[str]
    """Names of the modules that fresh interpreters imported for this test, built-in ones included."""
    interferences: list[str] = field(default_factory=list)
    """Active tools and settings that make the test slower or larger and could not be paused."""


@dataclass(frozen=True)
class Shutdown:
    """The controller's last message: end the process."""


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
_MESSAGE_TYPES: Final[Mapping[str, type[Message]]] = {kind.__name__: kind for kind in get_args(Message)}


class Link(Protocol):
    """One end of the pipe."""

    def send(self, message: Message) -> None: ...

    def receive(self) -> Message: ...


def encode(message: Message) -> bytes:
    """Return the message as bytes."""
    return _ENCODER.encode({"type": type(message).__name__, **vars(message)}).encode()


def decode(data: bytes) -> Message:
    """Return the message of these bytes. Every field is checked, because the other side may run another version.

    Raises
    ------
    ProtocolError
        for bytes that `encode` does not write.
    """
    try:
        content = _DECODER.decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not a message: {data[:80]!r} ({error})") from None
    kind = (
        _MESSAGE_TYPES.get(content.pop("type", None))
        if isinstance(content, dict) and _is_str(content.get("type"))
        else None
    )
    if kind is None:
        raise ProtocolError(f"not a message of this protocol: {data[:80]!r}")
    return _build(kind, content)


_T = TypeVar("_T", bound="DataclassInstance")


def _build(kind: type[_T], content: object) -> _T:
    """Build a message, or an object inside of one, from its fields."""
    expected = {each.name: str(each.type) for each in fields(kind)}
    if not isinstance(content, dict):
        raise ProtocolError(f"{kind.__name__} is {content!r:.80}, expected an object")
    if set(content) != set(expected):
        raise ProtocolError(f"{kind.__name__} has the fields {sorted(content)}, expected {sorted(expected)}")
    for name, value in content.items():
        if expected[name] in _NESTED:
            part, many = _NESTED[expected[name]]
            if many and not isinstance(value, list):
                raise ProtocolError(f"{kind.__name__}.{name} is {value!r:.80}, expected a list")
            content[name] = [_build(part, item) for item in value] if many else _build(part, value)
        elif not _CHECKS[expected[name]](value):
            raise ProtocolError(f"{kind.__name__}.{name} is {value!r:.80}, expected {expected[name]}")
    return kind(**content)


def _is_str(value: object) -> bool:
    return isinstance(value, str)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_str_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_readings(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(readings, list) and readings and all(map(_is_int, readings))
        for name, readings in value.items()
    )


def _is_user_totals(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(totals, list) and totals and all(map(_is_number, totals)) for totals in value.values()
    )


def _is_number(value: object) -> bool:
    # The bound comes first: math.isfinite raises for integers of hundreds of digits.
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 and math.isfinite(value)
    )


#: Fields that hold objects: annotation of the field -> (class, whether it is a list of them).
_NESTED: Final[Mapping[str, tuple[type[LeakReport] | type[Leak], bool]]] = {
    "LeakReport": (LeakReport, False),
    "Sequence[Leak]": (Leak, True),
}
#: Checks of the other fields, by annotation.
_CHECKS: Final = {
    "str": _is_str,
    "str | None": lambda value: value is None or _is_str(value),
    "int": _is_int,
    "bool": lambda value: isinstance(value, bool),
    "float": _is_number,
    "list[str]": _is_str_list,
    "Sequence[str]": _is_str_list,
    "Mapping[str, float]": lambda value: isinstance(value, dict) and all(map(_is_number, value.values())),
    "dict[str, object]": lambda value: isinstance(value, dict),
    "dict[str, str]": lambda value: isinstance(value, dict) and all(map(_is_str, value.values())),
    "Mapping[str, list[int]]": _is_readings,
    "UserTotals": _is_user_totals,
}
