"""`--perf-metrics-file`: what all tests of a run have recorded, and what was measured of them, in one file for a collector."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from pytest_perfguard.errors import MissingExtra, SeriesError
from pytest_perfguard.files import write_whole
from pytest_perfguard.model import Comparison, Finding
from pytest_perfguard.monitor.exposition import Format
from pytest_perfguard.monitor.monitor import PerformanceMonitor
from pytest_perfguard.plugin.keys import SESSION_METRICS
from pytest_perfguard.plugin.shown import usage_error, write_text
from pytest_perfguard.system_errors import explained

_KEY: Final = "perfguard_metrics"
_UNITS: Final = {"s": "seconds", "B": "bytes"}
#: One for every test and metric: nothing that a label makes explode.
_MOST_SERIES: Final = 10_000_000


def register_metrics(config: pytest.Config, name: str) -> None:
    """Collect for the file of this name, which is relative to the rootdir.

    Raises
    ------
    pytest.UsageError
        where the format needs a package that is not installed.
    """
    metrics = SessionMetrics(config, config.rootpath / name)
    try:
        metrics.text()
    except MissingExtra as error:
        raise usage_error(f"--perf-metrics-file={name}: {error}, or name a file.json") from None
    config.stash[SESSION_METRICS] = metrics
    config.pluginmanager.register(metrics, "perfguard-metrics")


class SessionMetrics:
    """One monitor for the whole run; on a worker of xdist for its part, which it sends home."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self._config = config
        self._path = path
        self._all = PerformanceMonitor(max_series=_MOST_SERIES)
        self._problem = ""

    def add(self, monitor: PerformanceMonitor) -> None:
        """Take over what one test has recorded."""
        self._merge(monitor.state())

    def add_comparisons(self, comparisons: Sequence[Comparison]) -> None:
        """Take over what was measured: amounts, ratios, verdicts."""
        for comparison in comparisons:
            test = {"nodeid": comparison.nodeid}
            verdict = "broken" if comparison.broken else str(comparison.verdict or "measured")
            self._measured("perfguard.verdict", 1, **test, verdict=verdict)
            for finding in comparison.findings:
                for name, value in _amounts(finding):
                    self._measured(name, value, **test, metric=finding.name)

    def text(self) -> str:
        """The file's content: by its suffix, JSON or OpenMetrics."""
        form: Format = "json" if self._path.suffix == ".json" else "openmetrics"
        return self._all.export(form)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        sent = getattr(node, "workeroutput", {}).get(_KEY)
        if sent is None:
            self._problem = f"{self._path.name} lacks what a worker recorded that crashed"
            return
        data = json.loads(sent)
        self._problem = self._problem or data["problem"]
        self._merge(data["state"])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        if hasattr(self._config, "workerinput"):
            output: dict[str, Any] = self._config.workeroutput  # type: ignore[attr-defined]  # set by xdist
            output[_KEY] = json.dumps({"state": self._all.state(), "problem": self._problem})
            return
        try:
            write_whole(self._path, self.text())
        except Exception as error:  # the verdicts count for more than this file
            self._problem = f"{self._path} could not be written: {explained(error)}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._problem:
            write_text(terminalreporter, f"perf: {self._problem}", red=True)

    def _merge(self, state: Mapping[str, Any]) -> None:
        for series, recorded in state.items():
            try:
                self._all.merge({series: recorded})
            except SeriesError as error:  # two tests use one name in two ways
                self._problem = f"{self._path.name} lacks a series: {error}"

    def _measured(self, name: str, value: float, **labels: str) -> None:
        try:
            self._all.gauge(name, value, **labels)
        except SeriesError as error:  # a test uses our name
            self._problem = f"{self._path.name} lacks a series: {error}"


def _amounts(finding: Finding) -> Iterator[tuple[str, float]]:
    unit = _UNITS.get(finding.unit, "amount")
    yield f"perfguard.candidate_{unit}", finding.candidate
    if finding.baseline is not None:
        yield f"perfguard.baseline_{unit}", finding.baseline
    if finding.ratio is not None:
        yield "perfguard.ratio", finding.ratio
