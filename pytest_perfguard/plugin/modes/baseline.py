"""`--perf-baseline`: measure every perf test and record the figures in the baseline file."""

from __future__ import annotations

import datetime
import math
from collections.abc import Collection, Sequence

import pytest

from pytest_perfguard.core.model import Comparison, Measurement
from pytest_perfguard.core.text import plural
from pytest_perfguard.engine.baseline.commit import current_commit
from pytest_perfguard.engine.baseline.store import with_records
from pytest_perfguard.engine.verdict import stopping
from pytest_perfguard.engine.verdict.instructions import COUNT_PROCESSES
from pytest_perfguard.engine.verdict.looks import Spent
from pytest_perfguard.plugin.functional_run import RunState
from pytest_perfguard.plugin.modes.base import Mode, baseline_name, without_git
from pytest_perfguard.plugin.output import write_text
from pytest_perfguard.plugin.selection import Selection, is_whole_suite


class BaselineMode(Mode):
    """Measure and record."""

    name = "baseline"
    usual_processes = stopping.RECORDED_PROCESSES
    count_processes = COUNT_PROCESSES
    empty_result = "nothing was recorded: no test marked perf ran and passed"

    def __init__(self, config: pytest.Config) -> None:
        super().__init__(config)
        # A file that cannot be written must be reported now, not after minutes of measuring.
        self.store.read_or_empty()
        self.store.check_writable()
        self.title = f"perfguard: recorded in {baseline_name(self)}"
        self.against = baseline_name(self)
        self.header = without_git(config.rootpath, "no commit is recorded, so that no later run can measure beside it")
        self.unchanged = f"{baseline_name(self)} is unchanged"
        self._commit = current_commit(config.rootpath, self.store.path)
        self._full_speed = math.inf
        """Shortest time of the calibration kernel in this run."""

    def judge(self, nodeid: str, measurement: Measurement, spent: Spent) -> Comparison | None:
        if measurement.kernel:  # 0 for a test that only makes claims
            self._full_speed = min(self._full_speed, measurement.kernel)
        return stopping.judge_recording(
            nodeid,
            measurement,
            self.settings_of(nodeid),
            full_pace=self._full_speed,
            final=spent > Spent.LITTLE,
        )

    def reopened(self, comparisons: Sequence[Comparison]) -> Collection[str]:
        return ()

    def kept(self, measured: int, tests: int) -> str:
        if not measured:
            return f"interrupted: no test was measured completely, so nothing was recorded; {self.unchanged}"
        return (
            f"interrupted: {measured} of {plural(tests, 'test')} measured completely and recorded in {self.against}; the "
            "records of the others are unchanged"
        )

    def is_result(self, comparison: Comparison) -> bool:
        return bool(comparison.measurement.samples or comparison.measurement.claims)

    def save(self, comparisons: Sequence[Comparison], state: RunState, *, whole: bool) -> None:
        """Record the measurements in the baseline file.

        If `whole`, the run was clean and selected every test: tests that no longer exist are dropped from the file.
        """
        records = {
            comparison.nodeid: stopping.to_record(
                comparison.measurement, source=self.source_of(comparison.nodeid), commit=self._commit or ""
            )
            for comparison in comparisons
            if comparison.measurement.samples and not comparison.broken
        }
        if not records:
            return
        whole = whole and is_whole_suite(self.config)
        selection, collected = Selection(self.config, state), frozenset(state.collected)

        def gone(nodeid: str) -> bool:
            return nodeid not in collected and selection.includes(nodeid)

        self.store.update(
            lambda before: with_records(before, self.machine, records, _stamp(), gone if whole else None), self._print
        )

    def _print(self, line: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            write_text(reporter, f"perf: {line}")


def _stamp() -> dict[str, object]:
    from pytest_perfguard import __version__

    now = datetime.datetime.now(datetime.timezone.utc)
    return {"at": now.strftime("%Y-%m-%dT%H:%M:%SZ"), "perfguard": __version__}
