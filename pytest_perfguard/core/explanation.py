"""Value objects of an explanation: the functions that became slower, and the lines that allocate more memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pytest_perfguard.core.json_values import as_list, as_number, as_object

#: The frames of a stack, outermost first, and the seconds per iteration in its innermost frame.
Stack = tuple[tuple[str, ...], float]


@dataclass(frozen=True)
class Location:
    """A function, or a line of one."""

    file: str
    """Relative to the project's root; the module's name where the code is not the project's; "" for C code."""
    line: int
    """From 1; 0 where the code is not the project's."""
    name: str
    """Qualified name."""
    end: int = 0
    """Last line of the function; 0: not known."""

    def __str__(self) -> str:
        """`rules.py:41 match`, `json.dumps`, `len`."""
        if self.line:
            return f"{self.file}:{self.line} {self.name}".rstrip()
        return f"{self.file}.{self.name}" if self.file and self.file != "builtins" else self.name


@dataclass(frozen=True)
class CallChange:
    """Numbers of calls of a function per iteration, before and now."""

    before: float
    now: float

    def __str__(self) -> str:
        return f"{_count(self.before)} -> {_count(self.now)}"


@dataclass(frozen=True)
class Blame:
    """A function or a line, and its part of the growth of a metric."""

    location: Location
    amount: float
    """In the metric's unit, per iteration."""
    calls: CallChange | None = None
    """Calls of the function itself, if their number differs."""
    resumed: bool = False
    """True: `calls` counts how often a generator or coroutine was resumed."""
    caller: Location | None = None
    """The function that makes the additional calls."""
    via: Location | None = None
    """Code outside the project, called by the function, in which most of the amount lies."""
    via_calls: CallChange | None = None
    """Calls of `via` by the function, if their number differs."""
    changed: bool = False
    """True: the diff touches the function, or the function that calls it more often."""
    at_least: bool = False
    """True: the amount is the least that the function must have lost, since no other function takes long enough."""


@dataclass(frozen=True)
class FunctionTime:
    """A function and its seconds per iteration in this tree."""

    location: Location
    seconds: float


@dataclass(frozen=True)
class MetricExplanation:
    """The growth of one metric of one test, and the functions or lines that account for it."""

    metric: str
    unit: str
    loss: float
    """The measured difference per iteration."""
    blames: tuple[Blame, ...] = ()
    """The largest first; they and the `rest` add up to the loss."""
    rest: float = 0.0
    """The part that no function accounts for."""
    basis: str = ""
    """Source of the amounts: `calls` (deterministic profile), `samples`, `both`, or `counts` if the base was not timed."""
    longest: tuple[FunctionTime, ...] = ()
    """This tree's functions with most time, where the base was not timed and none can be blamed."""


@dataclass(frozen=True)
class Flame:
    """The stacks of both sides at one measurement point, heaviest first."""

    label: str
    base: tuple[Stack, ...]
    head: tuple[Stack, ...]


@dataclass(frozen=True)
class Explanation:
    """The reasons why one test got worse."""

    metrics: tuple[MetricExplanation, ...] = ()
    flames: tuple[Flame, ...] = ()
    problem: str | None = None
    """Reason why there are no profiles; None if there are."""

    def to_json(self) -> dict[str, object]:
        """Return plain data for the report."""
        return {**asdict(self), "problem": self.problem or ""}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Explanation:
        """Read what `to_json` wrote.

        Raises
        ------
        KeyError, TypeError, ValueError, OverflowError
            for other data.
        """
        return cls(
            tuple(map(_metric, as_list(data["metrics"]))),
            tuple(map(_flame, as_list(data["flames"]))),
            str(data["problem"]) or None,
        )


def _metric(value: object) -> MetricExplanation:
    data = as_object(value)
    return MetricExplanation(
        str(data["metric"]), str(data["unit"]), as_number(data["loss"]), tuple(map(_blame, as_list(data["blames"]))),
        as_number(data["rest"]), str(data["basis"]), tuple(map(_function_time, as_list(data.get("longest", [])))),
    )  # fmt: skip


def _function_time(value: object) -> FunctionTime:
    data = as_object(value)
    return FunctionTime(_known_location(data["location"]), as_number(data["seconds"]))


def _flame(value: object) -> Flame:
    data = as_object(value)
    return Flame(str(data["label"]), _stacks(data["base"]), _stacks(data["head"]))


def _blame(value: object) -> Blame:
    data = as_object(value)
    return Blame(
        _known_location(data["location"]), as_number(data["amount"]), _calls(data["calls"]), data["resumed"] is True,
        _location(data["caller"]), _location(data["via"]), _calls(data["via_calls"]), data["changed"] is True,
        data.get("at_least") is True,
    )  # fmt: skip


def _known_location(value: object) -> Location:
    location = _location(value)
    if location is None:
        raise ValueError("location is null, expected an object")
    return location


def _location(value: object) -> Location | None:
    if value is None:
        return None
    data = as_object(value)
    line, end = (int(as_number(data[name])) for name in ("line", "end"))
    return Location(str(data["file"]), line, str(data["name"]), end)


def _calls(value: object) -> CallChange | None:
    if value is None:
        return None
    data = as_object(value)
    return CallChange(as_number(data["before"]), as_number(data["now"]))


def _stacks(value: object) -> tuple[Stack, ...]:
    return tuple(
        (tuple(map(str, as_list(frames))), as_number(seconds)) for frames, seconds in map(as_list, as_list(value))
    )


def _count(calls: float) -> str:
    """`40`, `2.5`: a mean over iterations is whole where each iteration does the same."""
    return f"{calls:.0f}" if abs(calls - round(calls)) < 0.05 or calls >= 100 else f"{calls:.1f}"
