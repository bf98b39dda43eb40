"""Base classes of the perf modes: which tests are measured how, how they are judged, and what the run must produce."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_perfguard.core.git import is_installed
from pytest_perfguard.core.model import JUDGED, Comparison, Measurement, Record, Verdict
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.core.stats.moderated import fitted_prior
from pytest_perfguard.core.text import plural
from pytest_perfguard.engine.baseline.store import Store
from pytest_perfguard.engine.measure.machine import current_machine
from pytest_perfguard.engine.runner.revision import Revision
from pytest_perfguard.engine.runner.scheduler import MeasuredTest
from pytest_perfguard.engine.verdict import stopping, stored
from pytest_perfguard.engine.verdict.instructions import COUNT_PROCESSES
from pytest_perfguard.engine.verdict.looks import Spent
from pytest_perfguard.engine.verdict.paired import PAIR_PRIOR, Pairs, judge_paired, spread_of
from pytest_perfguard.plugin.functional_run import RunState
from pytest_perfguard.plugin.options import known_settings, run_settings
from pytest_perfguard.plugin.selection import Selection


@dataclass(frozen=True)
class PairedBatch:
    """Tests that are to be measured side by side with a revision."""

    revision: Revision
    tests: list[MeasuredTest]
    reasons: dict[str, str] = field(default_factory=dict)
    """By node id, the result of the baseline file that the pairs confirm or correct."""


class MeasuringPlan(NamedTuple):
    """Treatment of tests before any is measured side by side."""

    settled: Mapping[str, Comparison]
    """Verdicts that need no measurement, by node id."""
    alone: Sequence[MeasuredTest]
    """Tests to be measured by themselves."""


class Mode:
    """`--perf`: measure and print the figures. The other modes derive from it."""

    name = "measure"
    max_processes = stored.MAX_PROCESSES
    usual_processes = stopping.QUICK_PROCESSES
    """Number of processes after which most tests are measured, or cleared by their baseline."""
    count_processes = 1
    """Number of processes that count the instructions of a test, at most: one shows the figure, two show how much it varies."""
    judges = False
    """Whether tests are compared with something."""
    unchanged = "--perf keeps nothing"
    """What an interrupted run leaves as it was."""
    empty_result: str | None = None
    """Error of a run without results; None: such a run is fine."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.machine = current_machine()
        self.store = Store(config.rootpath / run_settings(config).file)
        self.header: list[str] = []
        """Lines for the header of the run."""
        self.title = "perfguard: measured"
        """Title of the section at the end of the run."""
        self.against: str | None = None
        """The baseline or revision that tests are compared with, in the user's words."""
        self.records: Mapping[str, Record] = {}
        """Records that tests are compared with, by node id."""
        self._sources: dict[str, str] = {}

    def register(self, nodeid: str, source: str) -> None:
        """Register a test that is about to be measured, with the hash of its source."""
        self._sources[nodeid] = source

    def source_of(self, nodeid: str) -> str:
        """Return the hash of the test's source, or an empty string for a test that was not registered."""
        return self._sources.get(nodeid, "")

    def settings_of(self, nodeid: str) -> Settings:
        """Return the settings of a test; those of the run for a test that did not run."""
        return known_settings(self.config, nodeid)

    def record_of(self, nodeid: str) -> Record | None:
        """Return the record that the test is compared with, or None."""
        return self.records.get(nodeid)

    def count_record_of(self, nodeid: str, conditions: str) -> Record | None:
        """Return the record whose counts of instructions were taken under these conditions, on any machine, or None."""
        return None

    def unjudged_count(self, test: MeasuredTest, conditions: str) -> tuple[Verdict, str]:
        """Return verdict and reason of a test that was only counted, and has no record of these conditions."""
        return Verdict.NEW, "not in the baseline file"

    def plan(self, tests: Sequence[MeasuredTest]) -> MeasuringPlan:
        """Plan what happens to tests before any is measured side by side: here, all are measured by themselves."""
        return MeasuringPlan({}, list(tests))

    def judge(self, nodeid: str, measurement: Measurement, spent: Spent) -> Comparison | None:
        """Return the verdict on a test that was measured by itself, or None if it needs more processes."""
        settings, final = self.settings_of(nodeid), spent > Spent.LITTLE
        return stopping.judge_look(nodeid, measurement, settings, final=final, processes=self.usual_processes)

    def reopened(self, comparisons: Sequence[Comparison]) -> Collection[str]:
        """Return the node ids of tests to measure once more, after a pass with these results."""
        return stopping.measured_slowly(comparisons)

    def kept(self, measured: int, tests: int) -> str:
        """Return what an interrupt kept of the run, after this number of tests was measured completely."""
        return f"interrupted: {measured} of {plural(tests, 'test')} measured; {self.unchanged}"

    def final(self, comparison: Comparison) -> Comparison:
        """Return the verdict that counts, from the one that the measurements lead to: here, the same."""
        return comparison

    def remarks(self, comparisons: Sequence[Comparison], state: RunState) -> list[str]:
        """Return remarks on the verdicts of the run, for the end of the terminal's summary and for reports."""
        return []

    def missing(self, state: RunState) -> list[Comparison]:
        """Return the tests that have a record, belong to this run and were not measured."""
        measured, selection = {test.nodeid for test in state.deferred}, Selection(self.config, state)
        return [
            Comparison(nodeid, Verdict.MISSING, reason=_missing_reason(nodeid, state))
            for nodeid in sorted(self.records)
            if nodeid not in measured and selection.includes(nodeid)
        ]

    def nothing_judged(self, comparisons: Sequence[Comparison]) -> str | None:
        """Return the error of a run that produced no result, or None."""
        return None if any(map(self.is_result, comparisons)) else self.empty_result

    def is_result(self, comparison: Comparison) -> bool:
        """Return whether one comparison is enough for the run to have done its job."""
        return comparison.verdict in JUDGED or bool(comparison.broken)


class PairingMode(Mode, ABC):
    """A mode that measures tests side by side with a revision."""

    usual_processes = stopping.LOOK_PROCESSES
    count_processes = COUNT_PROCESSES
    judges = True
    unchanged = "the tests without a verdict passed their ordinary run, and the baseline file is unchanged"
    may_fall_back = True
    """True: the baseline file decides on tests whose revision cannot be measured."""
    empty_result = "no test was judged: a run that judged nothing does not pass"

    def __init__(self, config: pytest.Config) -> None:
        super().__init__(config)
        self.without_pairs: set[str] = set()
        """Tests that are judged by the baseline file alone."""
        self._spreads: dict[str, tuple[float, int]] = {}

    def reopened(self, comparisons: Sequence[Comparison]) -> Collection[str]:
        return ()

    def kept(self, measured: int, tests: int) -> str:
        return f"interrupted: {measured} of {plural(tests, 'test')} judged; {self.unchanged}"

    @abstractmethod
    def batches(self, tests: Sequence[MeasuredTest], decided: Mapping[str, Comparison]) -> list[PairedBatch]:
        """Return the tests to measure side by side; `decided` maps node ids to the results of measuring tests alone."""

    def judge_pair(self, nodeid: str, pairs: Pairs, family: int, spent: Spent) -> Comparison | None:
        """Return the verdict on one of `family` tests; the run's other tests supply the prior of the variance of pairs."""
        others = [spread for other, spread in self._spreads.items() if other != nodeid]
        if (spread := spread_of(pairs)) is not None:
            self._spreads[nodeid] = spread
        prior = fitted_prior(others, PAIR_PRIOR)
        return judge_paired(
            nodeid, pairs, self.settings_of(nodeid).for_pairs(), family=family, spent=spent, prior=prior
        )


def without_git(folder: Path, consequence: str) -> list[str]:
    """Return a header line if git is not installed and the folder is in a repository, otherwise nothing."""
    if is_installed() or not any((above / ".git").exists() for above in (folder, *folder.parents)):
        return []
    return [f"perfguard: git is not installed: {consequence}"]


def baseline_name(mode: Mode) -> str:
    """Return the path of the baseline file, relative to the rootdir where possible."""
    try:
        return str(mode.store.path.relative_to(Path(mode.config.rootpath).resolve()))
    except ValueError:
        return str(mode.store.path)


def _missing_reason(nodeid: str, state: RunState) -> str:
    if nodeid in state.collected:
        return "in the baseline, and it did not pass in this run"
    return "in the baseline, and no longer among the tests; drop it with: perfguard prune"
