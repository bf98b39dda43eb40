"""From a comparison to pytest's report: the one place where a verdict turns into a passed or a failed test."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_perfguard.core.model import UNSETTLED, Comparison, Verdict
from pytest_perfguard.core.text import printable, printable_lines
from pytest_perfguard.plugin.functional_run import DeferredTest, is_strict_xpass


class Explanation:
    """What pytest shows of a failed test: the whole text in its section, one line in the short summary."""

    def __init__(self, headline: str, lines: Sequence[str], location: tuple[str, int | None, str]) -> None:
        self.reprcrash = _Crash(location[0], (location[1] or 0) + 1, printable(headline))
        self.lines = printable_lines("\n".join(lines))

    def toterminal(self, writer: object) -> None:
        for index, line in enumerate(self.lines):
            writer.line(line, red=index == 0, bold=index == 0)  # type: ignore[attr-defined]  # pytest's private TerminalWriter

    def __str__(self) -> str:
        return "\n".join(self.lines)


class _Crash:
    """Where a failure is: the form that pytest's summary, JUnit and IDEs read."""

    def __init__(self, path: str, lineno: int, message: str) -> None:
        self.path = path
        self.lineno = lineno
        self.message = message

    def __str__(self) -> str:
        return f"{self.path}:{self.lineno}: {self.message}"


def apply_verdict(
    withheld: DeferredTest, comparison: Comparison, failure: Explanation | None
) -> list[pytest.TestReport]:
    """The withheld reports with the verdict in them, failed if there is a `failure`; `xfail` keeps its meaning."""
    for report in withheld.reports:
        if report.when != "setup":
            report.user_properties.extend(_properties(comparison))
        if report.when == "call":
            vars(report)["perf_verdict"] = str(comparison.verdict or "")  # plain data: it crosses xdist with the report
            if failure is not None:
                _fail(report, failure)
    return withheld.reports


def missing_report(nodeid: str, location: tuple[str, int | None, str], explanation: Explanation) -> pytest.TestReport:
    """A failed report for a test that should have been measured and is not there."""
    return pytest.TestReport(
        nodeid=nodeid, location=location, keywords={}, outcome="failed", longrepr=explanation, when="call"  # type: ignore[arg-type]
    )  # fmt: skip


def test_status(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Category, letter and word of a test that passed and of whose speed nothing is known for sure."""
    verdict = getattr(report, "perf_verdict", "")
    if report.when == "call" and report.passed and verdict in {str(item) for item in UNSETTLED}:
        return verdict, "?", verdict.upper()
    return None


def _fail(report: pytest.TestReport, explanation: Explanation) -> None:
    if is_strict_xpass(report):
        # Expected to fail, and it does: by its speed. The reason stands behind pytest's own prefix.
        report.wasxfail = str(report.longrepr).partition("] ")[2]
        report.outcome = "skipped"
    elif hasattr(report, "wasxfail"):
        report.outcome = "skipped"
    else:
        report.outcome = "failed"
    report.longrepr = explanation  # type: ignore[assignment]  # pytest asks for no more than toterminal and reprcrash


def _properties(comparison: Comparison) -> list[tuple[str, object]]:
    properties: list[tuple[str, object]] = []
    if comparison.verdict is not None:
        properties.append(("perf.verdict", str(comparison.verdict)))
    for finding in comparison.findings:
        if finding.ratio is not None and finding.verdict is not Verdict.OVER_LIMIT:
            properties.append((f"perf.{finding.name}.ratio", f"{finding.ratio:.4g}"))
    return properties
