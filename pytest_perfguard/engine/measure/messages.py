"""The words of a plan and its outcome: what is asked of a process, what it answers, what a visit gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

#: A round of one call that is no longer than this cannot tell whether it runs in parallel: the CPU clock is read around it.
MAX_SHORT_ROUND_NS: Final = 5_000_000
#: Share of the wall time in which other processes had the CPU from which on the machine counts as busy.
BUSY_SHARE: Final = 0.10
#: What a test's own timers and histograms user_totals: metric -> a total for each round.
UserTotals = Mapping[str, list[float]]


@dataclass(frozen=True)
class MeasureRequest:
    """Request: `rounds` readings of an instrument, each over `iterations` calls."""

    instrument: str
    iterations: int
    rounds: int
    rival: bool = False
    """Of the second of two calls that are compared?"""
    first_round: int = 0
    """Index of the first of these rounds among all rounds of the test: each has a stack offset of its own."""


@dataclass(frozen=True)
class MeasureResult:
    """Answer: the readings, a list for each quantity; totals of a round, not per iteration."""

    values: Mapping[str, list[int]]
    user_totals: UserTotals = field(default_factory=dict)


@dataclass(frozen=True)
class CallRaised:
    """Answer: a call raised; the text is the exception's type and message."""

    text: str
    by_instrument: bool = False
    """Was it an instrument that raised, and not the call? Nothing is known of the test then."""


@dataclass(frozen=True)
class PlanOptions:
    """What the runner wants of a visit."""

    metrics: tuple[str, ...]
    iterations: int = 0
    """Calls per round of earlier processes or of the baseline; 0: not known."""
    memory: bool = True
    """Take the passes for memory in this visit?"""
    single_call_setup: bool = False
    """The test cannot be called twice on one set-up: take one call."""
    budget_ns: int = 20_000_000_000
    """For all visits to this test together."""
    first_round: int = 0
    """Index of this visit's first round among all rounds of the test."""


@dataclass(frozen=True)
class PointResult:
    """What one process gave for one measurement point, per iteration."""

    iterations: int
    paces: tuple[float, ...] = ()
    """For each timed round the calibration kernel around it, in seconds."""
    values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    busy: float = 0.0
    """Share of the timed rounds that was CPU time; above 1 where several threads or child processes compute."""
    lost: float = 0.0
    """Share of the wall time in which other processes had the CPU, which `values` leave out."""
    stateful: str = ""
    """Not empty: a repeated call raised this; `values` is empty."""
    single_call_rounds: str = ""
    """Not empty: two calls in one round raised this, so that a round is one call."""

    @classmethod
    def of(
        cls,
        metrics: tuple[str, ...],
        iterations: int,
        readings: Mapping[str, list[int]],
        memory: Mapping[str, tuple[float, ...]],
        user_totals: UserTotals,
        single_call_rounds: str = "",
    ) -> PointResult:
        """From `readings` in nanoseconds per round, and what the memory passes gave per iteration."""
        times = {name: tuple(ns / 1e9 / iterations for ns in readings[name]) for name in ("time", "cpu")}
        values = {name: taken for name, taken in {**times, **memory}.items() if name in metrics}
        if "time" in metrics:
            values |= _per_iteration(user_totals, iterations, len(readings["time"]))
        paces = tuple(ns / 1e9 for ns in readings.get("kernel", ()))
        busy = sum(readings.get("load", readings["cpu"])) / max(1, sum(readings["time"]))
        if single_call_rounds and sum(readings["time"]) < MAX_SHORT_ROUND_NS * len(readings["time"]):
            busy = min(busy, 1.0)
        lost = sum(readings["lost"])
        return cls(
            iterations,
            paces,
            values,
            busy,
            lost / max(1, lost + sum(readings["time"])),
            single_call_rounds=single_call_rounds,
        )


@dataclass
class ArmReadings:
    """What the rounds of one arm gave so far."""

    values: dict[str, list[int]] = field(default_factory=lambda: {"time": [], "cpu": [], "lost": []})
    user_totals: list[UserTotals] = field(default_factory=list)
    tails: UserTotals = field(default_factory=dict)

    def add(self, taken: MeasureResult) -> None:
        for name, values in self.values.items():
            values += taken.values[name]
        self.user_totals.append(taken.user_totals)


def join_rounds(parts: Sequence[UserTotals]) -> UserTotals:
    """The rounds of several answers; what one of them lacks is left out, since it was not recorded in every round."""
    names = set.intersection(*(set(part) for part in parts)) if parts else set()
    return {name: [total for part in parts for total in part[name]] for name in names}


def _per_iteration(user_totals: UserTotals, iterations: int, rounds: int) -> dict[str, tuple[float, ...]]:
    """Means per iteration of what was recorded in every round; tails as they are."""
    values = {}
    for name, totals in user_totals.items():
        if "p95:" in name.partition("{")[0]:
            values[name] = tuple(totals)
        elif len(totals) == rounds and all(totals):
            values[name] = tuple(total / iterations for total in totals)
    return values
