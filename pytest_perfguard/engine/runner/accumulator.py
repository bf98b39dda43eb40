"""Accumulate the results of all processes into the measurement of one test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from pytest_perfguard.core.metric_names import MetricName, metric_kind, of_points
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import ClaimSamples, Measurement
from pytest_perfguard.core.parsers import KINDS
from pytest_perfguard.engine.measure.messages import BUSY_SHARE, PointResult

#: A single round between two fast kernels may be chance. The slowest of this number of best rounds gives the machine's
#: speed.
BEST_ROUNDS_OF_TEST: Final = 5
#: The same within one process.
BEST_ROUNDS_OF_PROCESS: Final = 3
BUSY_NOTE: Final = (
    "the machine was busy: other processes had the CPU for a part of the time, which is left out of the figures"
)


class MeasurementBuilder:
    """The growing measurement of one test. Results added between two calls of `close_process` belong to one process."""

    def __init__(self, iterations: Mapping[str, int]) -> None:
        self.iterations: dict[str, int] = dict(iterations)
        """Calls per round for the next process, by label."""
        self.single_call_setup = False
        """True if the test can be called only once per set-up."""
        self.single_call_rounds: dict[str, str] = {}
        """By label, the exception of a second call in one round, because of which a round is one call."""
        self.parallel: dict[str, bool] = {}
        """By label, True if the point runs in parallel, so that it is not pinned to one CPU."""
        self.measurement = Measurement()
        self._best_kernels: dict[str, list[float]] = {}
        self._process_kernels: dict[str, list[float]] = {}
        self._busy: dict[str, float] = {}
        self._lost: list[float] = []
        self._current: dict[str, tuple[float, ...]] = {}
        self._measured_claims: set[str] = set()
        self._seconds = 0.0
        self._instrumented = False

    def add(self, results: Mapping[str, PointResult]) -> None:
        """Add the results of one run of the test, by label of the measurement point."""
        for label, result in results.items():
            if result.stateful:
                self.limit_calls(f"a second call raised {result.stateful}")
            self._lost.append(result.lost)
            if result.single_call_rounds:
                self.single_call_rounds[label] = result.single_call_rounds
                self._note(f"one call per round, after setup=...: a second one raised {result.single_call_rounds}")
            self.iterations[label] = result.iterations
            self._busy[label] = max(result.busy, self._busy.get(label, 0.0))
            self._process_kernels[label] = sorted([*self._process_kernels.get(label, ()), *result.kernel_seconds])[
                :BEST_ROUNDS_OF_PROCESS
            ]
            self._best_kernels[label] = sorted([*self._best_kernels.get(label, ()), *result.kernel_seconds])[
                :BEST_ROUNDS_OF_TEST
            ]
        if not any(result.stateful for result in results.values()):
            for label, result in results.items():
                for metric, values in result.values.items():
                    name = str(MetricName.parse(metric, ())._replace(point=label))
                    self._current[name] = self._current.get(name, ()) + values

    def limit_calls(self, reason: str) -> None:
        """Measure one call per set-up from now on."""
        self.single_call_setup = True
        self._note(
            f"stateful: {reason}; measured one call per set-up. "
            "To time many calls, restore the state in the marker's setup=..."
        )

    def needs_claim(self, label: str) -> bool:
        """Return whether the claim is still to be measured in this process. Further runs of the test in it do not
        repeat it."""
        return label not in self._measured_claims

    def add_claim(self, label: str, samples: ClaimSamples) -> None:
        """Add the samples of one claim from one process."""
        self._measured_claims.add(label)
        known = dict(self.measurement.claims)
        known[label] = known[label].joined(samples) if label in known else samples
        self.measurement = replace(self.measurement, claims=known)

    def note_imports(self, modules: Sequence[str]) -> None:
        """Note the modules that fresh interpreters imported for the test."""
        if modules:
            self.measurement = replace(self.measurement, imports=tuple(modules))

    def note_interferences(self, names: Sequence[str]) -> None:
        """Note tools and settings that were active in the process and could not be paused."""
        for name in names:
            self._instrumented = True
            self._note(f"measured while {name}: only to be compared with measurements made in the same way")

    def close_process(self, seconds: float, notes: Sequence[str] = (), *, gc_enabled: bool = True) -> None:
        """Count the results added since the last call as one process that took `seconds`."""
        samples = dict(self.measurement.samples)
        for name, values in self._current.items():
            added = MetricStats.from_rounds(KINDS[metric_kind(name)].unit, (values,))
            samples[name] = samples[name].joined(added) if name in samples else added
        # Drop a timer that one process lacks: its values would no longer align with the pairs and the kernel times.
        processes = self.measurement.processes + 1
        points = of_points(samples, self.iterations)
        samples = {
            name: taken for name, taken in samples.items() if name in points or len(taken.processes) == processes
        }
        pace = max((paces[-1] for paces in self._process_kernels.values() if paces), default=0.0)
        lost = max((*self._lost, self.measurement.lost), default=0.0)
        self._current, self._process_kernels, self._measured_claims, self._lost = {}, {}, set(), []
        for note in notes:
            self._note(note)
        if lost > BUSY_SHARE:
            self._note(BUSY_NOTE)
        self._seconds = seconds
        self.measurement = replace(
            self.measurement,
            samples=samples,
            iterations=dict(self.iterations),
            kernel=max((paces[-1] for paces in self._best_kernels.values() if paces), default=0.0),
            paces=(*self.measurement.paces, pace),
            busy=min(self._busy.values(), default=0.0),
            lost=lost,
            processes=processes,
            conditions={
                "collector": gc_enabled,
                "single": self.single_call_setup,
                "parallel": any(self.parallel.values()),
                **({"instrumented": True} if self._instrumented else {}),
            },
            seconds=self.measurement.seconds + seconds,
        )

    def next_would_exceed(self, budget: float) -> bool:
        """Return whether another process of the same duration would exceed the budget, in seconds."""
        return self.measurement.seconds + self._seconds > budget

    def _note(self, note: str) -> None:
        if note not in self.measurement.notes:
            self.measurement = replace(self.measurement, notes=(*self.measurement.notes, note))
