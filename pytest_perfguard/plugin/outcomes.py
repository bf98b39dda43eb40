"""Convert a verdict into pytest's report: the one place where it makes a test pass or fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pytest

from pytest_perfguard.core.model import UNSETTLED, Comparison, Verdict
from pytest_perfguard.core.text import printable, printable_lines
from pytest_perfguard.plugin.functional_run import DeferredTest, is_strict_xpass


class _Writer(Protocol):
    """The method of pytest's private TerminalWriter that is used here."""

    def line(self, line: str, **markup: bool) -> None: ...


class Explanation:
    """Text of a failed test: pytest prints all of it in the failures section, and one line in the short summary.

    `brief`: the run prints one line per failure (`--tb=line`), which pytest makes of `reprcrash`.
    """

    def __init__(
        self, headline: str, lines: Sequence[str], location: tuple[str, int | None, str], *, brief: bool = False
    ) -> None:
        self.reprcrash = _Crash(location[0], (location[1] or 0) + 1, printable(headline))
        self.lines = printable_lines("\n".join(lines))
        self._brief = brief

    def toterminal(self, writer: _Writer) -> None:
        for index, line in enumerate(() if self._brief else self.lines):
            writer.line(line, red=index == 0, bold=index == 0)

    def __str__(self) -> str:
        return "\n".join(self.lines)


class _Crash:
    """Location of a failure in the form that pytest's summary, JUnit and IDEs read."""

    def __init__(self, path: str, lineno: int, message: str) -> None:
        self.path = path
        self.lineno = lineno
        self.message = message

    def __str__(self) -> str:
        return f"{self.path}:{self.lineno}: {self.message}"


def apply_verdict(
    deferred: DeferredTest, comparison: Comparison, failure: Explanation | None
) -> list[pytest.TestReport]:
    """Return the deferred reports with the verdict added, failed if there is a `failure`; `xfail` keeps its meaning."""
    for report in deferred.reports:
        if report.when != "setup":
            report.user_properties.extend(_properties(comparison))
        if report.when == "call":
            vars(report)["perf_verdict"] = str(comparison.verdict or "")  # plain data: it crosses xdist with the report
            if failure is not None:
                _fail(report, failure)
    return deferred.reports


def missing_report(nodeid: str, location: tuple[str, int | None, str], explanation: Explanation) -> pytest.TestReport:
    """Return a failed report for a test that is in the baseline and was not measured."""
    return pytest.TestReport(
        nodeid=nodeid, location=location, keywords={}, outcome="failed", longrepr=explanation, when="call"  # type: ignore[arg-type]
    )  # fmt: skip


def status_of(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Return category, letter and word for a test that passed and whose verdict is not settled; None: pytest's own."""
    verdict = getattr(report, "perf_verdict", "")
    if report.when == "call" and report.passed and verdict in {str(item) for item in UNSETTLED}:
        return verdict, "?", verdict.upper()
    return None


def _fail(report: pytest.TestReport, explanation: Explanation) -> None:
    if is_strict_xpass(report):
        # It was expected to fail, and its verdict fails it. The reason follows pytest's prefix.
        report.wasxfail = str(report.longrepr).partition("] ")[2]
        report.outcome = "skipped"
    elif hasattr(report, "wasxfail"):
        report.outcome = "skipped"
    else:
        report.outcome = "failed"
    report.longrepr = explanation  # type: ignore[assignment]  # pytest needs only toterminal and reprcrash


def _properties(comparison: Comparison) -> list[tuple[str, object]]:
    properties: list[tuple[str, object]] = []
    if comparison.verdict is not None:
        properties.append(("perf.verdict", str(comparison.verdict)))
    if comparison.accepted_by:
        properties.append(("perf.accepted", "; ".join(map(str, comparison.accepted_by))))
    for finding in comparison.findings:
        if finding.verdict is Verdict.OVER_LIMIT:
            continue
        properties.append((f"perf.{finding.name}", f"{finding.candidate:.6g}"))
        if finding.ratio is not None:
            properties.append((f"perf.{finding.name}.ratio", f"{finding.ratio:.4g}"))
    return properties
