"""Write progress, explanations and the summary to the terminal; `engine/report` supplies the lines."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import NamedTuple

import pytest

from pytest_perfguard.core.model import Comparison, Verdict
from pytest_perfguard.core.option_specs import OPTION_SPECS
from pytest_perfguard.core.text import printable
from pytest_perfguard.engine.report.explain import Context, explain, headline
from pytest_perfguard.engine.report.progress import LogThrottle, ProgressState, progress_bar, progress_line
from pytest_perfguard.engine.report.summary_table import TableStyle
from pytest_perfguard.engine.report.terminal import Line, count_line, summary_lines
from pytest_perfguard.engine.runner.leak_runner import LeakRunner
from pytest_perfguard.engine.runner.revision import commits_behind
from pytest_perfguard.engine.runner.scheduler import Progress
from pytest_perfguard.plugin.grouping import table_groups
from pytest_perfguard.plugin.modes.base import Mode, baseline_name
from pytest_perfguard.plugin.options import argument_of, counted_metrics, location_options, revision_name, run_settings
from pytest_perfguard.plugin.outcomes import Explanation
from pytest_perfguard.plugin.output import write_line, write_section, write_text
from pytest_perfguard.plugin.pytest_internals import end_line, shows_unicode, terminal_width


class ProgressDisplay:
    """Progress of the measuring: one line that is rewritten on a terminal, and occasional lines in a log."""

    def __init__(self, config: pytest.Config, *, judges: bool) -> None:
        self._reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
        self._live = bool(getattr(self._reporter, "isatty", False))
        self._pace = LogThrottle(0.1) if self._live else LogThrottle()
        self._shown = False
        self._judges = judges

    def update(self, state: Progress) -> None:
        """Show the present state, unless the last one was shown a moment ago."""
        if self._reporter is None or not self._pace.due(monotonic()):
            return
        shown = ProgressState(
            state.nodeid, state.unit, state.pass_number, state.tests, state.undecided, state.waiting, state.of_pass,
            state.seconds_left, state.share, judged=self._judges or state.unit == LeakRunner.unit,
        )  # fmt: skip
        width, unicode = terminal_width(self._reporter), shows_unicode(self._reporter)
        line = progress_bar(shown, width=width, unicode=unicode) if self._live else progress_line(shown)
        self._show(self._reporter, line)

    def announce(self, line: str) -> None:
        """Show the next step, which takes a while."""
        if self._reporter is not None:
            self._show(self._reporter, line)

    def _show(self, reporter: pytest.TerminalReporter, line: str) -> None:
        if not self._shown:
            end_line(reporter)
        self._shown = True
        if self._live:
            reporter.rewrite(printable(line), erase=True)
        else:
            write_line(reporter, line)

    def close(self) -> None:
        """Erase the line, so that the results of tests begin on a line of their own."""
        if self._reporter is None or not self._shown:
            return
        if self._live:
            self._reporter.rewrite("", erase=True)
        self._reporter.currentfspath = None  # so that the next result begins with its file's name


def explanation(comparison: Comparison, mode: Mode, location: tuple[str, int | None, str]) -> Explanation:
    """Return the text of a failed test."""
    settings, record = mode.settings_of(comparison.nodeid), mode.record_of(comparison.nodeid)
    context = Context(
        mode.name, baseline_name(mode), settings, record, revision_name(mode.config),
        place=partial(argument_of, mode.config), options=location_options(mode.config), prune_options=_prune_options(mode),
        behind=partial(commits_behind, mode.config.rootpath), metrics=counted_metrics(mode.config),
    )  # fmt: skip
    brief = mode.config.getoption("tbstyle", "auto") == "line"
    return Explanation(headline(comparison), list(explain(comparison, context)), location, brief=brief)


def _prune_options(mode: Mode) -> str:
    """Return the `--file` option that `perfguard prune` needs, or an empty string for the file that it uses by default."""
    here = mode.config.invocation_params.dir
    default = next(str(spec.default) for spec in OPTION_SPECS if spec.name == "file")
    file = os.path.relpath(mode.store.path, os.path.realpath(here))
    return "" if file == default else f"--file={shlex.quote(file)} "


class RunSummary(NamedTuple):
    """What the section at the end of a run reports."""

    mode: Mode
    comparisons: Sequence[Comparison]
    parameters: Mapping[str, Mapping[str, str]]
    """Parameters of the tests, by node id."""
    processes: int
    seconds: float
    nothing_judged: str | None
    """Why the run has no verdicts."""


def write_summary(reporter: pytest.TerminalReporter, run: RunSummary) -> None:
    """Write the section at the end of the run; with `-qq` only its last line."""
    if not run.comparisons and not run.nothing_judged:
        return
    if reporter.verbosity >= -1:
        write_section(reporter, run.mode.title)
        for text, tone in _summary_lines(reporter, run):
            write_line(reporter, text, **({tone: True} if tone else {}))  # pytest respects NO_COLOR and --color
    write_line(reporter, count_line(run.comparisons, seconds=run.seconds, processes=run.processes))
    if run.nothing_judged:
        write_text(reporter, f"perf: {run.nothing_judged}", red=True)


def _summary_lines(reporter: pytest.TerminalReporter, run: RunSummary) -> Iterator[Line]:
    mode, settings = run.mode, run_settings(run.mode.config)
    style = TableStyle(
        mode.name, terminal_width(reporter), detailed=reporter.verbosity > 0, unicode=shows_unicode(reporter),
        terminal=bool(getattr(reporter, "isatty", False)),
        traced=lambda nodeid: "memory" in mode.settings_of(nodeid).metrics,
    )  # fmt: skip
    measured = [comparison for comparison in run.comparisons if comparison.verdict is not Verdict.MISSING]
    groups = table_groups(
        measured, run.parameters, group_by=settings.group_by, sort=settings.sort, severity=mode.judges
    )
    return summary_lines(run.comparisons, style, groups, verbosity=reporter.verbosity)
