"""The two sides of a pair: the processes, and what they gave so far."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from pytest_perfguard.engine.runner.accumulator import MeasurementBuilder
from pytest_perfguard.engine.runner.process import WorkerProcess
from pytest_perfguard.engine.runner.scheduler import MeasuredTest


class PairWorkers(NamedTuple):
    """A pair of processes."""

    base: WorkerProcess
    head: WorkerProcess


@dataclass
class PairState:
    """What is known of one test so far."""

    base: MeasurementBuilder = field(default_factory=lambda: MeasurementBuilder({}))
    head: MeasurementBuilder = field(default_factory=lambda: MeasurementBuilder({}))
    pinned: dict[str, bool] = field(default_factory=dict)
    """By label: is the point kept on one CPU?"""
    known_pinned: dict[str, bool] = field(default_factory=dict)
    """The same as far as an earlier phase found out."""
    only_head: Set[str] = frozenset()
    """The modules that only the head's fresh interpreters import."""

    @classmethod
    def of(cls, test: MeasuredTest) -> PairState:
        """Start from what an earlier phase found out: calls per slice, and whether the points run in parallel.

        One call per slice is found out anew, since it may have had a reason that the pairs have to know.
        """
        iterations = {label: count for label, count in test.iterations.items() if count > 1}
        known = {} if test.parallel is None else dict.fromkeys(test.iterations, not test.parallel)
        return cls(MeasurementBuilder(iterations), MeasurementBuilder({}), known_pinned=known)

    def note_interferences(self, base: Sequence[str], head: Sequence[str]) -> None:
        """What was active in the two processes and could not be paused."""
        self.base.note_interferences(base)
        self.head.note_interferences(head)
