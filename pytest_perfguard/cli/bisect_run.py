"""Make the comparisons of a search: run pytest in the tree of a commit, side by side with an older one."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pytest_perfguard.cli.bisect_start import LEAKS
from pytest_perfguard.cli.common import read_text
from pytest_perfguard.core.errors import CommandError, RevisionError
from pytest_perfguard.core.metric_names import metric_kind
from pytest_perfguard.core.model import JUDGED, Finding, Verdict
from pytest_perfguard.engine.bisect.candidate import TARGET, Workplace, candidate_tree
from pytest_perfguard.engine.bisect.commits import Commit
from pytest_perfguard.engine.bisect.search import FROM_NOTHING, Outcome, Query
from pytest_perfguard.engine.bisect.state import Comparison
from pytest_perfguard.engine.profile.lines import where_lines
from pytest_perfguard.engine.report.document import Report, ReportedTest
from pytest_perfguard.engine.report.explain import describe_finding, headline
from pytest_perfguard.engine.report.json import read_report
from pytest_perfguard.engine.report.text import leading_finding
from pytest_perfguard.engine.runner.revision import Revision
from pytest_perfguard.engine.runner.worktree import EXTRA_SUFFIX

#: Starts pytest without the current folder at the head of the import path, where it would hide a built candidate.
_BOOT: Final = (
    "import sys; sys.path[:] = [entry for entry in sys.path if entry]; import pytest; sys.exit(pytest.console_main())"
)
#: Seconds that an interrupted run has for removing its worktree, before and after it is interrupted once more. A second
#: interrupt ends the removal, which takes some seconds on a busy machine, so it must not come early.
_GRACE_SECONDS: Final = (10.0, 15.0)
_LEAK_OPTIONS: Final = ("--perf", "--perf-leaks", "--perf-metrics=time", "--perf-explain=off")
_MAX_REASON: Final = 200


@dataclass(frozen=True)
class BisectTarget:
    """Test and metric of a search, and the options of its runs."""

    test: str
    """Node id, relative to the folder where the command was started."""
    metric: str
    """Name or kind of a metric, or `leaks`."""
    options: tuple[str, ...] = ()
    """Further options of pytest."""


@dataclass(frozen=True)
class _RunResult:
    """Result of one run for the metric."""

    outcome: Outcome
    metric: str = ""
    text: str = ""
    lines: tuple[str, ...] = ()
    pairs: int = 0


class Comparer:
    """Compares commits of one list by their numbers."""

    def __init__(self, place: Workplace, commits: Sequence[Commit], target: BisectTarget) -> None:
        self._place = place
        self._commits = commits
        self._target = target
        self._leaking: dict[str, _RunResult] = {}

    def compare(self, query: Query, metric: str) -> Comparison:
        """Make the comparison; `metric` is the name or the kind of the metric that counts."""
        begin = time.monotonic()
        base, head = self._commits[query.base], self._commits[query.head]
        if metric_kind(metric) == LEAKS:
            result = self._leaks_since(base, head)
        else:
            result = self._side_by_side(base, head, metric, explain=query.explain)
        return Comparison(
            base.hash, head.hash, query.purpose, result.outcome, time.monotonic() - begin,
            result.pairs, result.metric, result.text, result.lines,
        )  # fmt: skip

    def _side_by_side(self, base: Commit, head: Commit, metric: str, *, explain: bool) -> _RunResult:
        options = [f"--perf-against={base.hash}", f"--perf-metrics={metric_kind(metric)}"]
        entry, problem = self._measure(head, [*options, f"--perf-explain={'auto' if explain else 'off'}"])
        return _RunResult(Outcome(skipped=problem)) if entry is None else _result_of_pairs(entry, metric)

    def _leaks_since(self, base: Commit, head: Commit) -> _RunResult:
        """Only a commit that leaks is worse, and only than one that does not."""
        now = self._leaks_of(head)
        if now.outcome.verdict is Verdict.LEAK and self._leaks_of(base).outcome.verdict is Verdict.LEAK:
            return replace(now, outcome=Outcome(verdict=Verdict.UNCHANGED))
        return now

    def _leaks_of(self, commit: Commit) -> _RunResult:
        if commit.hash not in self._leaking:
            entry, problem = self._measure(commit, _LEAK_OPTIONS)
            self._leaking[commit.hash] = (
                _RunResult(Outcome(skipped=problem)) if entry is None else _result_of_leak_check(entry)
            )
        return self._leaking[commit.hash]

    def _measure(self, commit: Commit, options: Sequence[str]) -> tuple[ReportedTest | None, str]:
        """Run the test in the tree of a commit; return its entry in the report, or the reason why there is none."""
        revision = Revision(commit.short, commit.hash, self._place.top)
        try:
            with candidate_tree(revision, self._place) as tree, tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "report.json"
                command = [*options, *self._target.options, f"--perf-report={path}", self._target.test]
                output = _without_place(run_tests(command, tree.folder, tree.environment), tree.tree)
                text = _without_place(read_text(path, missing=""), tree.tree)
        except RevisionError as error:
            return None, _shortened(str(error))
        return _entry_of(read_report(text, str(path)) if text else None, output)


def run_tests(options: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    """Run pytest in the folder; return its output.

    An interrupted run gets time to remove its worktree.
    """
    outer = {name: value for name, value in environment.items() if name != "GITHUB_ACTIONS"}
    command = [sys.executable, "-c", _BOOT, "-q", *options]
    with subprocess.Popen(
        command, cwd=folder, env=outer, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            output, _errors = process.communicate()
        except KeyboardInterrupt:
            _end(process)
            raise
    return output


def outcome_of(finding: Finding) -> Outcome:
    """Return the outcome of a comparison from the finding on its metric."""
    change = _log(finding.change)
    low, high = map(_log, finding.interval) if finding.interval is not None else (change, change)
    limit = _log(finding.limit / finding.baseline) if finding.limit and finding.baseline else 0.0
    return Outcome(change, low, high, limit, finding.verdict)


def _log(ratio: float | None) -> float:
    """Return the logarithm of a ratio, within the bounds of what stands for a change from or to nothing."""
    if ratio is None:
        return 0.0
    return -FROM_NOTHING if ratio <= 0 else max(-FROM_NOTHING, min(FROM_NOTHING, math.log(ratio)))


def _end(process: subprocess.Popen[str]) -> None:
    """Wait for an interrupted process. One that was not in the terminal's group is interrupted, one that hangs is killed."""
    for grace in _GRACE_SECONDS:
        try:
            process.communicate(timeout=grace)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        else:
            return
    process.kill()


def _entry_of(report: Report | None, output: str) -> tuple[ReportedTest | None, str]:
    """Return the test of the report, or the reason why it was not measured."""
    if report is None or not report.entries:
        return None, _reason(output)
    if len(report.entries) > 1:
        names = ", ".join(entry.nodeid for entry in report.entries[:5])
        raise CommandError(f"{len(report.entries)} tests match; name one of them: {names}")
    entry = report.entries[0]
    comparison = entry.comparison
    if (comparison.verdict is None and not comparison.broken) or comparison.verdict in JUDGED:
        return entry, ""
    return None, _shortened(f"{comparison.outcome}: {comparison.broken or comparison.reason}")


def _result_of_pairs(entry: ReportedTest, metric: str) -> _RunResult:
    comparison = entry.comparison
    exact = (finding for finding in comparison.findings if finding.name == metric)
    finding = next(exact, None) or leading_finding(comparison, metric)
    if finding is None:
        known = ", ".join(each.name for each in comparison.findings) or "none"
        return _RunResult(Outcome(skipped=f"the test has no metric {metric} (it has: {known})"))
    lines = tuple(where_lines(comparison.explanation))[1:] if comparison.explanation is not None else ()
    pairs = comparison.pairing.measurement.processes if comparison.pairing is not None else 0
    return _RunResult(outcome_of(finding), finding.name, describe_finding(finding), lines, pairs)


def _result_of_leak_check(entry: ReportedTest) -> _RunResult:
    finding = next((each for each in entry.comparison.findings if each.verdict is Verdict.LEAK), None)
    if finding is None and entry.comparison.verdict is Verdict.INCONCLUSIVE:
        return _RunResult(Outcome(skipped=_shortened(headline(entry.comparison))))
    if finding is None:
        return _RunResult(Outcome(verdict=Verdict.UNCHANGED), LEAKS, "no leak")
    outcome = Outcome(FROM_NOTHING, FROM_NOTHING, FROM_NOTHING, 0.0, Verdict.LEAK)
    return _RunResult(outcome, LEAKS, f"leaks {describe_finding(finding)}", finding.details)


def _reason(output: str) -> str:
    """Return the line of pytest's output with the reason why nothing was measured."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for pattern in (r"E\s+[\w.]*(Error|Exception|Warning)\b", r"E\s+\S", r"ERROR\b", r"\S*perfguard: "):
        for line in lines:
            if re.match(pattern, line):
                return _shortened(re.sub(r"^E\s+", "", line))
    return _shortened(lines[-1] if lines else "pytest printed nothing")


def _without_place(text: str, tree: Path) -> str:
    """Return the text with paths in the temporary tree, or in the folder into which it was built, relative to it."""
    built = tree.with_suffix(EXTRA_SUFFIX) / TARGET
    return text.replace(f"{built}{os.sep}", "").replace(f"{tree}{os.sep}", "")


def _shortened(text: str) -> str:
    first = " ".join(text.split())
    return first if len(first) <= _MAX_REASON else f"{first[:_MAX_REASON]}..."
