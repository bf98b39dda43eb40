"""Plan the profiles of one measurement point: requests to both arms in turn. Pure.

The slices are short and alternate, so that a change of the machine's speed affects both arms.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pytest_perfguard.engine.measure.messages import CallRaised
from pytest_perfguard.engine.profile.charges import Side
from pytest_perfguard.engine.profile.messages import ProfileRequest, ProfileResult
from pytest_perfguard.engine.profile.model import (
    AllocationProfile,
    CallProfile,
    StackSamples,
    joined_calls,
    joined_samples,
)

#: Seconds of unprofiled work in a slice of the deterministic profile, which takes two to five times as long.
CALLS_SLICE: Final = 0.004
CALLS_SLICES: Final = 13
#: If only the numbers of calls are requested: the first slice warms up.
COUNTS_SLICE: Final = 0.002
COUNTS_SLICES: Final = 2
#: The first slice only fills caches and loads modules.
SAMPLES_SLICE: Final = 0.06
SAMPLES_SLICES: Final = 4
MAX_ITERATIONS: Final = 20_000
#: A call of at least this number of seconds is profiled once in each way, without a call to warm up.
SLOW_CALL: Final = 0.1
#: A call of at least this number of seconds is not sampled.
VERY_SLOW_CALL: Final = 1.0


@dataclass(frozen=True)
class PointPlan:
    """The requested profiles of one measurement point."""

    seconds: tuple[float, ...]
    """Per call, as measured, of each arm."""
    roots: tuple[str, ...]
    """The project's folder of each arm."""
    times: bool = True
    """True: profile the time."""
    memory: bool = False
    """True: profile the allocations."""
    counts: bool = False
    """True: of the time, only the numbers of calls are requested."""
    single: bool = False
    """True: one set-up allows one call only."""

    def of_arm(self, index: int) -> PointPlan:
        """Return the same profiles of one arm."""
        return replace(self, seconds=(self.seconds[index],), roots=(self.roots[index],))


@dataclass
class ArmProfiles:
    """The profiles of one arm at one measurement point."""

    calls: list[CallProfile] = field(default_factory=list)
    samples: list[StackSamples] = field(default_factory=list)
    allocations: AllocationProfile = field(default_factory=AllocationProfile)
    raised: str | None = None
    """Type and message of the exception that a call raised, after which the arm is not profiled further; None if none did."""

    def side(self, seconds: float) -> Side:
        """Return the profiles as one side of a comparison; `seconds` per call as measured."""
        settled = self.calls[1:] or self.calls
        halves = (joined_calls(settled[::2]), joined_calls(settled[1::2])) if len(settled) > 1 else ()
        return Side(joined_calls(settled), joined_calls(settled, rank=1), joined_samples(self.samples), seconds, halves)


#: A request to the arm of this index.
ArmRequest = tuple[int, ProfileRequest]
Plan = Generator[ArmRequest, ProfileResult | CallRaised, list[ArmProfiles]]


def plan_point(plan: PointPlan) -> Plan:
    """Plan the profiles of all arms; an arm whose call raises keeps those taken so far."""
    taken = [ArmProfiles() for _ in plan.roots]
    slow = max(plan.seconds)
    if plan.counts:
        for _ in range(1 if plan.single or slow >= SLOW_CALL else COUNTS_SLICES):
            yield from _slice(plan, taken, "calls", COUNTS_SLICE)
    elif plan.times:
        rounds = 1 if plan.single or slow >= SLOW_CALL else CALLS_SLICES
        for _ in range(rounds):
            yield from _slice(plan, taken, "calls", CALLS_SLICE)
        if not plan.single and slow < VERY_SLOW_CALL:
            for _ in range(1 if slow >= SLOW_CALL else SAMPLES_SLICES):
                yield from _slice(plan, taken, "samples", SAMPLES_SLICE)
    if plan.memory and not (plan.single and (plan.times or plan.counts)):
        yield from _slice(plan, taken, "memory", 0.0)
    return taken


def _slice(
    plan: PointPlan, taken: Sequence[ArmProfiles], kind: str, seconds: float
) -> Generator[ArmRequest, ProfileResult | CallRaised, None]:
    for arm, into in enumerate(taken):
        if into.raised:
            continue
        per_call = max(plan.seconds[arm], 1e-9)
        iterations = 1 if plan.single else max(1, min(MAX_ITERATIONS, round(seconds / per_call)))
        if kind == "memory":
            iterations = 1 if plan.single or per_call >= SLOW_CALL else 2
        answer = yield arm, ProfileRequest(kind, iterations, plan.roots[arm])
        if isinstance(answer, CallRaised):
            into.raised = answer.text
        elif kind == "calls":
            into.calls.append(CallProfile.from_json(answer.profile))
        elif kind == "samples":
            into.samples.append(StackSamples.from_json(answer.profile))
        else:
            into.allocations = AllocationProfile.from_json(answer.profile)
