"""What the modes do differently: which processes, which judge, what is kept, what counts as having been done."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pytest_perfguard.core.errors import BaselineError, RevisionError
from pytest_perfguard.core.git import is_installed
from pytest_perfguard.core.model import JUDGED, Comparison, Measurement, Record
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.core.stats.moderated import fitted_prior
from pytest_perfguard.core.system_errors import explain_error
from pytest_perfguard.engine.baseline.commit import current_commit
from pytest_perfguard.engine.baseline.store import Store, with_records
from pytest_perfguard.engine.measure.machine import current_machine
from pytest_perfguard.engine.runner.revision import Revision
from pytest_perfguard.engine.runner.scheduler import MeasuredTest
from pytest_perfguard.engine.verdict import stopping, stored
from pytest_perfguard.engine.verdict.looks import Spent
from pytest_perfguard.engine.verdict.paired import PAIR_PRIOR, Pairs, judge_paired, spread_of
from pytest_perfguard.plugin.functional_run import RunState
from pytest_perfguard.plugin.options import run_settings
from pytest_perfguard.plugin.output import usage_error, write_text
from pytest_perfguard.plugin.selection import Selection, is_whole_suite


def open_mode(config: pytest.Config, name: str) -> Mode:
    """The mode of this name, with the baseline it needs read and checked before anything runs.

    Raises
    ------
    pytest.UsageError
        where the baseline cannot be used: exit status 4, and the file is left alone.
    """
    from pytest_perfguard.plugin.modes.against import AgainstMode
    from pytest_perfguard.plugin.modes.compare import CompareMode

    kinds = {"measure": Mode, "baseline": BaselineMode, "compare": CompareMode, "against": AgainstMode}
    try:
        return kinds[name](config)
    except (BaselineError, RevisionError) as error:
        raise usage_error(error) from None
    except OSError as error:
        raise usage_error(explain_error(error)) from None


@dataclass(frozen=True)
class PairedBatch:
    """Tests that are to be measured side by side with a revision."""

    revision: Revision
    subjects: list[MeasuredTest]
    reasons: dict[str, str] = field(default_factory=dict)
    """By node id: what the baseline file left open."""


class Mode:
    """`--perf`: measure and show, keep nothing."""

    name = "measure"
    processes = stored.MAX_PROCESSES
    usual_processes = stopping.LOOK_PROCESSES
    """Processes after which most tests are measured, or cleared by their baseline."""
    may_fall_back = True
    """Is there a verdict, too, where a revision cannot be checked out?"""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.machine = current_machine()
        self.store = Store(config.rootpath / run_settings(config).file)
        self._sources: dict[str, str] = {}
        self._settings: dict[str, Settings] = {}
        self._spreads: dict[str, tuple[float, int]] = {}

    def expect(self, nodeid: str, source: str, settings: Settings) -> None:
        """Take note of a test that is about to be measured."""
        self._sources[nodeid] = source
        self._settings[nodeid] = settings

    def settings_of(self, nodeid: str) -> Settings:
        return self._settings.get(nodeid) or run_settings(self.config)

    def record_of(self, nodeid: str) -> Record | None:
        """What the test is compared with."""
        return None

    def source_of(self, nodeid: str) -> str:
        """The hash of the test's source; "" where it has none."""
        return self._sources.get(nodeid, "")

    def against(self) -> str:
        """What the tests are compared with, as the user would write it; "" if with nothing."""
        return ""

    def header(self) -> list[str]:
        """Lines for the top of the run."""
        return []

    def title(self) -> str:
        """Of the section at the end."""
        return "perfguard: measured"

    def measured_alone(self, nodeid: str) -> bool:
        """Is the test measured by itself, before any is measured side by side?"""
        return self.settled_before(nodeid) is None

    def handovers(self, subjects: Sequence[MeasuredTest], decided: Mapping[str, Comparison]) -> Iterator[PairedBatch]:
        """What is measured side by side, after `decided` was found out by measuring alone."""
        return iter(())

    def do_without_pairs(self, nodeids: Iterable[str]) -> None:
        """Judge these tests as if no revision could be had."""

    def judge_pair(self, nodeid: str, pairs: Pairs, family: int, spent: Spent) -> Comparison | None:
        """Return the verdict on one test; how much its pairs may differ is learnt from the run's other tests."""
        others = [spread for other, spread in self._spreads.items() if other != nodeid]
        if (spread := spread_of(pairs)) is not None:
            self._spreads[nodeid] = spread
        prior = fitted_prior(others, PAIR_PRIOR)
        return judge_paired(nodeid, pairs, self._settings[nodeid], family=family, spent=spent, prior=prior)

    def settled_before(self, nodeid: str) -> Comparison | None:
        """The verdict, where nothing needs to be measured for it."""
        return None

    def judge(self, nodeid: str, measurement: Measurement, spent: Spent) -> Comparison | None:
        return stopping.judge_look(nodeid, measurement, self._settings[nodeid], final=spent > Spent.LITTLE)

    def missing(self, harvest: RunState) -> list[Comparison]:
        """The tests that should have been measured and were not."""
        return []

    def keep(self, comparisons: Sequence[Comparison], harvest: RunState, *, whole: bool) -> None:
        """Write what the mode keeps; `whole`: the run was clean and nothing was left out."""

    def nothing_judged(self, comparisons: Sequence[Comparison]) -> str:
        """Why this run did not do what it was asked to; "" if it did."""
        return ""


class BaselineMode(Mode):
    """`--perf-baseline`: measure and record."""

    name = "baseline"
    usual_processes = stopping.RECORDED_PROCESSES

    def __init__(self, config: pytest.Config) -> None:
        super().__init__(config)
        # What would stop the writing is told before minutes of measuring.
        self.store.read_or_empty()
        self.store.check_writable()
        self._commit = current_commit(config.rootpath, self.store.path)
        self._full_pace = math.inf

    def header(self) -> list[str]:
        return without_git(self.config.rootpath, "no commit is recorded, so that no later run can measure beside it")

    def judge(self, nodeid: str, measurement: Measurement, spent: Spent) -> Comparison | None:
        if measurement.kernel:  # 0 where a test only makes claims
            self._full_pace = min(self._full_pace, measurement.kernel)
        return stopping.judge_recording(
            nodeid, measurement, self._settings[nodeid], full_pace=self._full_pace, final=spent > Spent.LITTLE
        )

    def keep(self, comparisons: Sequence[Comparison], harvest: RunState, *, whole: bool) -> None:
        records = {
            comparison.nodeid: stopping.to_record(
                comparison.measurement, source=self._sources[comparison.nodeid], commit=self._commit
            )
            for comparison in comparisons
            if comparison.measurement.samples and not comparison.broken
        }
        if not records:
            return
        whole = whole and is_whole_suite(self.config)
        selection, collected = Selection(self.config, harvest), frozenset(harvest.collected)

        def gone(nodeid: str) -> bool:
            return nodeid not in collected and selection.includes(nodeid)

        self.store.update(
            lambda before: with_records(before, self.machine, records, _stamp(), gone if whole else None), self._say
        )

    def _say(self, line: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            write_text(reporter, f"perf: {line}")

    def title(self) -> str:
        return f"perfguard: recorded in {baseline_name(self)}"

    def against(self) -> str:
        return baseline_name(self)

    def nothing_judged(self, comparisons: Sequence[Comparison]) -> str:
        if any(comparison.measurement.samples or comparison.measurement.claims for comparison in comparisons):
            return ""
        return "nothing was recorded: no test marked perf ran and passed"


def nothing_judged(comparisons: Sequence[Comparison]) -> str:
    """Why a comparison compared nothing; "" if it did."""
    if any(comparison.verdict in JUDGED or comparison.broken for comparison in comparisons):
        return ""
    return "no test was judged: a gate that measured nothing is not green"


def without_git(folder: Path, consequence: str) -> list[str]:
    """Return the line for the top of a run in a repository where git is not installed."""
    if is_installed() or not any((above / ".git").exists() for above in (folder, *folder.parents)):
        return []
    return [f"perfguard: git is not installed: {consequence}"]


def baseline_name(mode: Mode) -> str:
    """The baseline file as the user would write it."""
    try:
        return str(mode.store.path.relative_to(Path(mode.config.rootpath).resolve()))
    except ValueError:
        return str(mode.store.path)


def _stamp() -> dict[str, object]:
    from pytest_perfguard import __version__

    now = datetime.datetime.now(datetime.timezone.utc)
    return {"at": now.strftime("%Y-%m-%dT%H:%M:%SZ"), "perfguard": __version__}
