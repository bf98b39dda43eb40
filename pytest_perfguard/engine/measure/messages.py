"""Requests, responses and results of a measurement plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

#: A round of one call up to this length does not show whether the test runs in parallel, because the CPU clock is read
#: around it.
MAX_SHORT_ROUND_NS: Final = 5_000_000
#: The machine counts as busy if other processes had the CPU for more than this share of the wall time.
BUSY_SHARE: Final = 0.10
#: Values that the test's own timers and histograms recorded: metric -> one total for each round.
UserTotals = Mapping[str, list[float]]


@dataclass(frozen=True)
class MeasureRequest:
    """Request for `rounds` readings of an instrument, each over `iterations` calls.

    Instruments that count instructions accept 0 iterations: the reading is what they add to the calls.
    """

    instrument: str
    iterations: int
    rounds: int
    rival: bool = False
    """True: call the rival, the second of two calls that are compared."""
    first_round: int = 0
    """Index of the first of these rounds among all rounds of the test. Each round has a stack offset of its own."""


@dataclass(frozen=True)
class MeasureResult:
    """Response: one list of readings for each quantity, with one total per round (not per iteration)."""

    values: Mapping[str, list[int]]
    user_totals: UserTotals = field(default_factory=dict)


@dataclass(frozen=True)
class CallRaised:
    """Response: a call raised an exception. The text is its type and message."""

    text: str
    by_instrument: bool = False
    """True if an instrument raised it, not the call. The test itself is unaffected then."""


@dataclass(frozen=True)
class PlanOptions:
    """Options of the plan for one point in one process."""

    metrics: tuple[str, ...]
    iterations: int = 0
    """Calls per round in earlier processes or in the baseline; 0: unknown."""
    memory: bool = True
    """True: measure memory in this process."""
    single_call_setup: bool = False
    """True if the test can be called only once per set-up, so that one call is measured."""
    budget_ns: int = 20_000_000_000
    """For all processes of the test together."""
    first_round: int = 0
    """Index of this process's first round among all rounds of the test."""


@dataclass(frozen=True)
class PointResult:
    """Result of one measurement point in one process, per iteration."""

    iterations: int
    kernel_seconds: tuple[float, ...] = ()
    """Time of the calibration kernel around each timed round."""
    values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    busy: float = 0.0
    """CPU time as a share of the timed rounds; above 1 if several threads or child processes compute."""
    lost: float = 0.0
    """Share of the wall time in which other processes had the CPU. `values` leaves that time out."""
    stateful: str | None = None
    """The exception of a repeated call, if it raised one: the test can be called only once per set-up. `values` is
    empty then."""
    single_call_rounds: str | None = None
    """The exception of the second of two calls in one round, if it raised one. Each round is one call then."""

    @classmethod
    def of(
        cls,
        metrics: tuple[str, ...],
        iterations: int,
        readings: Mapping[str, list[int]],
        memory: Mapping[str, tuple[float, ...]],
        user_totals: UserTotals,
        single_call_rounds: str | None = None,
        *,
        single_call_setup: bool = False,
    ) -> PointResult:
        """Build the result from `readings` in nanoseconds per round, and from the values of memory per iteration."""
        times = {name: tuple(ns / 1e9 / iterations for ns in readings[name]) for name in ("time", "cpu")}
        values = {name: measured for name, measured in {**times, **memory}.items() if name in metrics}
        if "time" in metrics:
            values |= _per_iteration(user_totals, iterations, len(readings["time"]))
        kernel_seconds = tuple(ns / 1e9 for ns in readings.get("kernel", ()))
        busy = sum(readings.get("load", readings["cpu"])) / max(1, sum(readings["time"]))
        one_call = single_call_setup or single_call_rounds
        if one_call and sum(readings["time"]) < MAX_SHORT_ROUND_NS * len(readings["time"]):
            busy = min(busy, 1.0)
        lost = sum(readings["lost"])
        return cls(
            iterations,
            kernel_seconds,
            values,
            busy,
            lost / max(1, lost + sum(readings["time"])),
            single_call_rounds=single_call_rounds,
        )


@dataclass
class ArmReadings:
    """Readings of the rounds of one arm so far."""

    values: dict[str, list[int]] = field(default_factory=lambda: {"time": [], "cpu": [], "lost": []})
    user_totals: list[UserTotals] = field(default_factory=list)
    tails: UserTotals = field(default_factory=dict)
    """95th percentiles of the test's own timers and histograms."""

    def add(self, result: MeasureResult) -> None:
        """Append the readings of one response."""
        for name, values in self.values.items():
            values += result.values[name]
        self.user_totals.append(result.user_totals)


def join_rounds(parts: Sequence[UserTotals]) -> UserTotals:
    """Join the rounds of several responses, leaving out metrics that were not recorded in every round."""
    names = set.intersection(*(set(part) for part in parts)) if parts else set()
    return {name: [total for part in parts for total in part[name]] for name in names}


def _per_iteration(user_totals: UserTotals, iterations: int, rounds: int) -> dict[str, tuple[float, ...]]:
    """Return the means per iteration of the metrics that were recorded in every round, and the tails unchanged."""
    values = {}
    for name, totals in user_totals.items():
        if "p95:" in name.partition("{")[0]:
            values[name] = tuple(totals)
        elif len(totals) == rounds and all(totals):
            values[name] = tuple(total / iterations for total in totals)
    return values
