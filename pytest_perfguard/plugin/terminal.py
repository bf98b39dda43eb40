"""Write progress, explanations and the summary to the terminal; `engine/report` supplies the lines."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from functools import partial
from time import monotonic

import pytest

from pytest_perfguard.core.model import Comparison
from pytest_perfguard.core.option_specs import OPTION_SPECS
from pytest_perfguard.core.text import printable
from pytest_perfguard.engine.report.explain import Context, explain, headline
from pytest_perfguard.engine.report.progress import LogThrottle, progress_line
from pytest_perfguard.engine.report.terminal import count_line, summary_lines
from pytest_perfguard.engine.runner.leak_runner import LeakRunner
from pytest_perfguard.engine.runner.revision import commits_behind
from pytest_perfguard.engine.runner.scheduler import Progress
from pytest_perfguard.plugin.modes.base import Mode, baseline_name
from pytest_perfguard.plugin.options import argument_of, chosen_mode, location_options, revision_name
from pytest_perfguard.plugin.outcomes import Explanation
from pytest_perfguard.plugin.output import write_line, write_section, write_text
from pytest_perfguard.plugin.pytest_internals import end_line, terminal_width


class ProgressDisplay:
    """Progress of the measuring: one line that is rewritten on a terminal, and occasional lines in a log."""

    def __init__(self, config: pytest.Config) -> None:
        self._reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
        self._live = bool(getattr(self._reporter, "isatty", False))
        self._pace = LogThrottle(0.1) if self._live else LogThrottle()
        self._shown = False
        self._judges = chosen_mode(config) not in ("measure", "baseline")

    def update(self, state: Progress) -> None:
        """Show the present state, unless the last one was shown a moment ago."""
        if self._reporter is None or not self._pace.due(monotonic()):
            return
        line = progress_line(
            state.nodeid, unit=state.unit, number=state.pass_number, undecided=state.undecided, tests=state.tests,
            seconds_left=state.seconds_left, width=terminal_width(self._reporter),
            judged=self._judges or state.unit == LeakRunner.unit,
        )  # fmt: skip
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
        behind=partial(commits_behind, mode.config.rootpath),
    )  # fmt: skip
    return Explanation(headline(comparison), list(explain(comparison, context)), location)


def _prune_options(mode: Mode) -> str:
    """Return the `--file` option that `perfguard prune` needs, or an empty string for the file that it uses by default."""
    here = mode.config.invocation_params.dir
    default = next(str(spec.default) for spec in OPTION_SPECS if spec.name == "file")
    file = os.path.relpath(mode.store.path, os.path.realpath(here))
    return "" if file == default else f"--file={shlex.quote(file)} "


def write_summary(
    reporter: pytest.TerminalReporter,
    mode: Mode,
    comparisons: Sequence[Comparison],
    processes: int,
    seconds: float,
    nothing_judged: str | None,
) -> None:
    """Write the section at the end of the run."""
    if not comparisons and not nothing_judged:
        return
    if reporter.verbosity >= 0:
        write_section(reporter, mode.title)
        width = terminal_width(reporter)
        for text, tone in summary_lines(comparisons, mode=mode.name, width=width, verbosity=reporter.verbosity):
            write_line(reporter, text, **({tone: True} if tone else {}))  # pytest respects NO_COLOR and --color
    write_line(reporter, count_line(comparisons, seconds=seconds, processes=processes))
    if nothing_judged:
        write_text(reporter, f"perf: {nothing_judged}", red=True)
