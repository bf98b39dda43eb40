"""Profiles as values: calls and seconds by function, sampled stacks, allocations by line. Pure.

All amounts are per iteration. A function is known in both trees by module and qualified name; its line may move.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pytest_perfguard.core.errors import ProtocolError


class Function(NamedTuple):
    """Identity of a function in both trees."""

    place: str
    """File relative to the project's root; of other code the module's name; "" for C code without one."""
    name: str
    """Qualified name."""
    ours: bool
    """Is it the project's code?"""


class Cost(NamedTuple):
    """What one function cost."""

    calls: float
    """Of a generator or coroutine: how often it was resumed."""
    own: float
    """Seconds in the function itself, without the functions that it called; the profiler's overhead is subtracted."""
    cumulative: float
    """Seconds with the functions that it called, overhead included."""
    line: int = 0
    end: int = 0
    resumed: bool = False
    """Is it a generator or coroutine?"""


class Edge(NamedTuple):
    """What one function spent in calls of another one."""

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
        """Plain data; functions are referred to by their index."""
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
    def from_json(cls, data: Mapping[str, Any]) -> CallProfile:
        """Read what `to_json` wrote.

        Raises
        ------
        ProtocolError
            for other data.
        """
        try:
            costs = {Function(*row[:3]): Cost(*row[3:]) for row in data["functions"]}
            names = list(costs)
            edges = {(names[row[0]], names[row[1]]): Edge(*row[2:]) for row in data["edges"]}
            return cls(costs, edges, int(data["threads"]), float(data["seconds"]))
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
        """How many samples there are."""
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
    def from_json(cls, data: Mapping[str, Any]) -> StackSamples:
        """Read what `to_json` wrote; raises `ProtocolError` for other data."""
        try:
            functions = [Function(*row) for row in data["functions"]]
            stacks = {tuple(functions[place] for place in row[0]): int(row[1]) for row in data["stacks"]}
            return cls(stacks, float(data["seconds"]))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ProtocolError(f"not a sampled profile: {error!r}") from None


class AllocatingLine(NamedTuple):
    """A line of the project that allocates, by its text: its number may move."""

    place: str
    name: str
    """Of the function around it."""
    text: str


@dataclass(frozen=True)
class AllocationProfile:
    """What was allocated when the memory was at its peak, by the line of the project's code that led to it."""

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
    def from_json(cls, data: Mapping[str, Any]) -> AllocationProfile:
        """Read what `to_json` wrote; raises `ProtocolError` for other data."""
        try:
            rows = [(AllocatingLine(*row[:3]), *row[3:]) for row in data["lines"]]
            return cls(
                {key: float(size) for key, _line, size, _kept in rows},
                {key: int(line) for key, line, _size, _kept in rows},
                {key: float(kept) for key, _line, _size, kept in rows},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"not an allocation profile: {error!r}") from None


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
    """Several slices of sampling of one side as one."""
    stacks: dict[tuple[Function, ...], int] = {}
    for part in parts:
        for stack, count in part.stacks.items():
            stacks[stack] = stacks.get(stack, 0) + count
    return StackSamples(stacks, _median(part.seconds for part in parts) if parts else 0.0)


def _median(values: Iterable[float]) -> float:
    return statistics.median(list(values))
