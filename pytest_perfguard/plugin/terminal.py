"""Putting lines on the terminal and reports into files; the lines themselves come from `report/`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from functools import partial
from time import monotonic
from typing import Any

import pytest

from pytest_perfguard.core.model import Comparison
from pytest_perfguard.core.option_specs import OPTION_SPECS
from pytest_perfguard.core.text import printable
from pytest_perfguard.engine.report.explain import Context, explain, headline
from pytest_perfguard.engine.report.progress import LogThrottle, progress_line
from pytest_perfguard.engine.report.terminal import count_line, summary_lines
from pytest_perfguard.engine.runner.leak_runner import LeakRunner
from pytest_perfguard.engine.runner.scheduler import Progress
from pytest_perfguard.plugin.modes.base import Mode, baseline_name
from pytest_perfguard.plugin.options import chosen_mode, needed_options, place_of, revision_name
from pytest_perfguard.plugin.outcomes import Explanation
from pytest_perfguard.plugin.output import write_line, write_section, write_text


class ProgressDisplay:
    """One line that is rewritten on a terminal; a line now and then in a log."""

    def __init__(self, config: pytest.Config) -> None:
        self._reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
        self._live = bool(getattr(self._reporter, "isatty", False))
        self._pace = LogThrottle(0.1) if self._live else LogThrottle()
        self._told = False
        self._judges = chosen_mode(config) not in ("measure", "baseline")

    def tell(self, state: Progress) -> None:
        if self._reporter is None or not self._pace.due(monotonic()):
            return
        line = progress_line(
            state.nodeid, unit=state.unit, number=state.pass_number, undecided=state.undecided, tests=state.tests,
            seconds_left=state.seconds_left, width=self._reporter._tw.fullwidth,
            judged=self._judges or state.unit == LeakRunner.unit,
        )  # fmt: skip
        self._show(line)

    def say(self, line: str) -> None:
        """Something that takes its time."""
        if self._reporter is not None:
            self._show(line)

    def _show(self, line: str) -> None:
        if not self._told and self._reporter._tw.width_of_current_line:
            self._reporter._tw.line()
        self._told = True
        if self._live:
            self._reporter.rewrite(printable(line), erase=True)
        else:
            write_line(self._reporter, line)

    def close(self) -> None:
        """Leave the terminal as tests expect it."""
        if self._told and self._live:
            self._reporter.rewrite("", erase=True)
        if self._told:
            self._reporter.currentfspath = None  # so that the next result begins with its file's name


def explanation(comparison: Comparison, mode: Mode, location: tuple[str, int | None, str]) -> Explanation:
    """What a failed test shows."""
    settings, record = mode.settings_of(comparison.nodeid), mode.record_of(comparison.nodeid)
    context = Context(
        mode.name, baseline_name(mode), settings, record, revision_name(mode.config),
        place=partial(place_of, mode.config), options=needed_options(mode.config), prune_options=_prune_options(mode),
    )  # fmt: skip
    return Explanation(headline(comparison), list(explain(comparison, context)), location)


def _prune_options(mode: Mode) -> str:
    """Return what `perfguard prune` needs to find the baseline file; "" where it is the file that the command takes by itself."""
    here = mode.config.invocation_params.dir
    default = next(str(knob.default) for knob in OPTION_SPECS if knob.name == "file")
    file = os.path.relpath(mode.store.path, os.path.realpath(here))
    return "" if file == default else f"--file={shlex.quote(file)} "


def tell_summary(
    reporter: pytest.TerminalReporter,
    mode: Mode,
    comparisons: Sequence[Comparison],
    processes: int,
    seconds: float,
    untold: str,
) -> None:
    """The section at the end of the run."""
    if not comparisons and not untold:
        return
    if reporter.verbosity >= 0:
        write_section(reporter, mode.title())
        told = summary_lines(comparisons, mode=mode.name, width=reporter._tw.fullwidth, verbosity=reporter.verbosity)
        for text, tone in told:
            write_line(reporter, text, **({tone: True} if tone else {}))  # pytest heeds NO_COLOR and --color
    write_line(reporter, count_line(comparisons, seconds=seconds, processes=processes))
    if untold:
        write_text(reporter, f"perf: {untold}", red=True)
