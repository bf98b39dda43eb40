"""Profiles as values: calls and seconds by function, sampled stacks, allocations by line. Pure.

All amounts are per iteration. A function is known in both trees by module and qualified name; its line may move.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pytest_perfguard.core.errors import ProtocolError
from pytest_perfguard.core.json_values import JsonValue, as_list, as_number


class Function(NamedTuple):
    """Identity of a function in both trees."""

    place: str
    """File relative to the project's root; of other code the module's name; "" for C code without one."""
    name: str
    """Qualified name."""
    ours: bool
    """True for the project's code."""


class Cost(NamedTuple):
    """Calls and seconds of one function."""

    calls: float
    """Number of calls; for a generator or coroutine, of resumptions."""
    own: float
    """Seconds in the function itself, without the functions that it called; the profiler's overhead is subtracted."""
    cumulative: float
    """Seconds with the functions that it called, overhead included."""
    line: int = 0
    end: int = 0
    resumed: bool = False
    """True for a generator or coroutine."""


class Edge(NamedTuple):
    """Calls of one function by another one, and their seconds."""

    calls: float
    seconds: float
    """Cumulative, overhead included."""


@dataclass(frozen=True)
class CallProfile:
    """A deterministic profile."""

    costs: Mapping[Function, Cost] = field(default_factory=dict)
    edges: Mapping[tuple[Function, Function], Edge] = field(default_factory=dict)
    threads: int = 0
    """Further threads that were profiled."""
    seconds: float = 0.0
    """Wall time per iteration while profiling."""

    def to_json(self) -> dict[str, object]:
        """Return plain data, in which functions are referred to by their index."""
        index = {function: number for number, function in enumerate(self.costs)}
        return {
            "functions": [[*function, *cost] for function, cost in self.costs.items()],
            "edges": [
                [index[caller], index[callee], *edge]
                for (caller, callee), edge in self.edges.items()
                if caller in index and callee in index
            ],
            "threads": self.threads,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> CallProfile:
        """Read what `to_json` wrote.

        Raises
        ------
        ProtocolError
            for other data.
        """
        try:
            costs = {_function(row): _cost(row[3:]) for row in _rows(data["functions"])}
            names = list(costs)
            edges = {(names[_index(row[0])], names[_index(row[1])]): _edge(row[2:]) for row in _rows(data["edges"])}
            return cls(costs, edges, _index(data["threads"]), as_number(data["seconds"]))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ProtocolError(f"not a call profile: {error!r}") from None


@dataclass(frozen=True)
class StackSamples:
    """Samples of the stack of the measured call."""

    stacks: Mapping[tuple[Function, ...], int] = field(default_factory=dict)
    """Outermost first -> how often it was seen."""
    seconds: float = 0.0
    """Wall time per iteration while sampling."""

    @property
    def count(self) -> int:
        """Number of samples."""
        return sum(self.stacks.values())

    def to_json(self) -> dict[str, object]:
        functions = list(dict.fromkeys(function for stack in self.stacks for function in stack))
        index = {function: number for number, function in enumerate(functions)}
        return {
            "functions": [list(function) for function in functions],
            "stacks": [[[index[function] for function in stack], count] for stack, count in self.stacks.items()],
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> StackSamples:
        """Read what `to_json` wrote; raises `ProtocolError` for other data."""
        try:
            functions = [_function(row) for row in _rows(data["functions"])]
            stacks = {
                tuple(functions[_index(place)] for place in as_list(row[0])): _index(row[1])
                for row in _rows(data["stacks"])
            }
            return cls(stacks, as_number(data["seconds"]))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ProtocolError(f"not a sampled profile: {error!r}") from None


class AllocatingLine(NamedTuple):
    """A line of the project that allocates, identified by its text, because its number may change."""

    place: str
    """File relative to the project's root."""
    name: str
    """Name of the function around the line."""
    text: str


@dataclass(frozen=True)
class AllocationProfile:
    """Allocations when the memory was at its peak, by the line of the project's code that led to it."""

    sizes: Mapping[AllocatingLine, float] = field(default_factory=dict)
    """Bytes at the peak, above the start."""
    lines: Mapping[AllocatingLine, int] = field(default_factory=dict)
    """Line numbers."""
    kept: Mapping[AllocatingLine, float] = field(default_factory=dict)
    """Blocks per iteration that were still there when the calls were over and garbage was collected."""

    def to_json(self) -> dict[str, object]:
        keys = list(dict.fromkeys((*self.sizes, *self.kept)))
        return {
            "lines": [[*key, self.lines.get(key, 0), self.sizes.get(key, 0.0), self.kept.get(key, 0.0)] for key in keys]
        }

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> AllocationProfile:
        """Read what `to_json` wrote; raises `ProtocolError` for other data."""
        try:
            rows = {AllocatingLine(*map(str, row[:3])): list(map(as_number, row[3:])) for row in _rows(data["lines"])}
            return cls(
                {key: size for key, (_line, size, _kept) in rows.items()},
                {key: int(line) for key, (line, _size, _kept) in rows.items()},
                {key: kept for key, (_line, _size, kept) in rows.items()},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"not an allocation profile: {error!r}") from None


def _rows(value: object) -> list[list[JsonValue]]:
    return list(map(as_list, as_list(value)))


def _index(value: object) -> int:
    return int(as_number(value))


def _function(row: list[JsonValue]) -> Function:
    place, name, ours = row[:3]
    return Function(str(place), str(name), ours is True)


def _cost(row: list[JsonValue]) -> Cost:
    calls, own, cumulative, line, end, resumed = row
    return Cost(as_number(calls), as_number(own), as_number(cumulative), _index(line), _index(end), resumed is True)


def _edge(row: list[JsonValue]) -> Edge:
    calls, seconds = row
    return Edge(as_number(calls), as_number(seconds))


def joined_calls(parts: Sequence[CallProfile], rank: int = 0) -> CallProfile:
    """Combine several slices of one side: the counts of the last slice, and the smallest seconds of each function.

    Counts are those of the last slice because caches fill and modules load in the first. Seconds are the smallest because
    other processes can only add time. With `rank` 1 they are the second smallest.
    """
    if not parts:
        return CallProfile()
    last = parts[-1]
    costs = {
        function: cost._replace(
            own=_ranked((part.costs[function].own for part in parts if function in part.costs), rank),
            cumulative=_ranked((part.costs[function].cumulative for part in parts if function in part.costs), rank),
        )
        for function, cost in last.costs.items()
    }
    edges = {
        pair: edge._replace(seconds=_ranked((part.edges[pair].seconds for part in parts if pair in part.edges), rank))
        for pair, edge in last.edges.items()
    }
    return CallProfile(costs, edges, last.threads, _ranked((part.seconds for part in parts), rank))


def _ranked(values: Iterable[float], rank: int) -> float:
    ordered = sorted(values)
    return ordered[min(rank, len(ordered) - 1)]


def joined_samples(parts: Sequence[StackSamples]) -> StackSamples:
    """Combine several slices of sampling of one side."""
    stacks: dict[tuple[Function, ...], int] = {}
    for part in parts:
        for stack, count in part.stacks.items():
            stacks[stack] = stacks.get(stack, 0) + count
    return StackSamples(stacks, _median(part.seconds for part in parts) if parts else 0.0)


def _median(values: Iterable[float]) -> float:
    return statistics.median(list(values))
