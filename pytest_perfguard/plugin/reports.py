"""The reports of a run: files in the formats that were asked for, and what a CI system reads by itself."""

from __future__ import annotations

import datetime
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final

import pytest

from pytest_perfguard.core.atomic_files import atomic_write
from pytest_perfguard.core.errors import BaselineError, RevisionError
from pytest_perfguard.core.model import Comparison, Measurement
from pytest_perfguard.core.system_errors import explained
from pytest_perfguard.engine.baseline.commit import current_commit
from pytest_perfguard.engine.history.snapshots import from_git
from pytest_perfguard.engine.history.trends import HistoryQuery, Trend, tracks
from pytest_perfguard.engine.report.document import Entry, Report, sides_of
from pytest_perfguard.engine.report.github import error_commands
from pytest_perfguard.engine.report.markdown import markdown_report
from pytest_perfguard.engine.report.render import rendered
from pytest_perfguard.engine.verdict.stopping import to_record
from pytest_perfguard.plugin.modes.base import Mode
from pytest_perfguard.plugin.options import run_settings
from pytest_perfguard.plugin.outcomes import Explanation
from pytest_perfguard.plugin.output import usage_error

#: Where a test is: path below the rootdir, line from 0, name.
Location = tuple[str, int | None, str]
#: GitHub takes a step summary of up to 1 MiB, and a character has up to four bytes.
_SUMMARY_CHARACTERS: Final = 250_000
#: States of the baseline file that a page shows: each is a file to read.
_STATES: Final = 30


def check_reports(config: pytest.Config) -> None:
    """Raise `pytest.UsageError` where a report cannot be written: before minutes of measuring."""
    for name in run_settings(config).report:
        if problem := _unwritable(config.rootpath / name):
            raise usage_error(f"--perf-report={name}: {problem}")


class Reporting:
    """Gathers what the measuring phase says of each test, and writes it at the end."""

    def __init__(self, config: pytest.Config, mode: Mode) -> None:
        self._config = config
        self._mode = mode
        self._entries: dict[str, Entry] = {}

    def add(
        self,
        comparison: Comparison,
        location: Location,
        failure: Explanation | None,
        alone: Measurement | None = None,
    ) -> None:
        """Take note of a test's verdict.

        `failure` is what it shows if it failed; `alone` what was measured of it by itself, if the verdict is a pair's.
        """
        record = self._mode.record_of(comparison.nodeid)
        pairing, measurement = comparison.pairing, alone or comparison.measurement
        base = pairing.revision if pairing is not None else record.commit if record is not None else ""
        source = self._mode.source_of(comparison.nodeid)
        measured = bool(measurement.samples) and not comparison.broken
        entry = Entry(
            comparison=comparison,
            sides=sides_of(comparison, record),
            record=to_record(measurement, source=source, commit=self._commit) if measured else None,
            file=location[0],
            line=0 if location[1] is None else location[1] + 1,
            base=base,
            lines=tuple(failure.lines) if failure is not None else (),
            headline=failure.reprcrash.message if failure is not None else "",
        )
        self._entries[comparison.nodeid] = entry

    @cached_property
    def _commit(self) -> str:
        try:
            return current_commit(self._config.rootpath, self._mode.store.path)
        except RevisionError:  # a mode that needs the repository has refused it before anything ran
            return ""

    def write(self, *, complete: bool, notes: Iterable[str]) -> list[str]:
        """Write every report that was asked for; returns what could not be written. Relative paths start at the rootdir."""
        names = run_settings(self._config).report
        summary = os.environ.get("GITHUB_STEP_SUMMARY", "") if _on_github() else ""
        if not names and not summary:
            return []
        report = replace(self._report(), complete=complete, notes=tuple(notes))
        problems = []
        for name in names:
            try:
                atomic_write(self._config.rootpath / name, rendered(report, name, self._history))
            except Exception as error:  # one report that cannot be had costs neither the others nor the verdicts
                problems.append(f"the report {name} could not be written: {explained(error)}")
        if summary:
            try:
                with Path(summary).open("a", encoding="utf-8", errors="backslashreplace") as stream:
                    stream.write(markdown_report(report, _SUMMARY_CHARACTERS))
            except Exception as error:
                problems.append(f"GITHUB_STEP_SUMMARY={summary} could not be written: {explained(error)}")
        return problems

    def annotations(self) -> Iterator[str]:
        """Under GitHub Actions: the commands that make failed tests visible at their lines."""
        if _on_github():
            workspace = os.environ.get("GITHUB_WORKSPACE", "")
            yield from error_commands(self._report(), _below(self._config.rootpath, workspace))

    def _report(self) -> Report:
        settings = run_settings(self._config)
        now = datetime.datetime.now(datetime.timezone.utc)
        return Report(
            mode=self._mode.name,
            machine=self._mode.machine,
            settings=settings.as_data(),
            entries=tuple(self._entries.values()),
            at=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            commit=self._commit,
            against=self._mode.against(),
        )

    def _history(self) -> Sequence[Trend]:
        """The past of the tests of this report, where git has the baseline file's."""
        here = self._mode.machine.name

        def wanted(machine: str, nodeid: str) -> bool:
            return machine == here and nodeid in self._entries

        try:
            snapshots, _remarks = from_git(self._mode.store.path, _STATES, wanted)
        except (RevisionError, BaselineError):  # no git, or a baseline that only this run can do without
            return ()
        return tracks(snapshots, HistoryQuery(run_settings(self._config).threshold))


def _unwritable(file: Path) -> str:
    """Return why the file cannot be written; "" if nothing speaks against it. Missing folders are made when it is written."""
    if os.path.isdir(file):  # noqa: PTH112 - where nothing may be looked at, this is False and no error
        return "this is a folder; name a file in it"
    for folder in file.parents:
        try:
            mode = folder.stat().st_mode
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"cannot be written: {error.strerror or error}; name another folder"
        if not stat.S_ISDIR(mode):
            return f"{folder} is no folder; name another one"
        if not os.access(folder, os.W_OK | os.X_OK):
            return f"{folder} may not be written to; name another folder"
        break
    return ""


def _on_github() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def _below(folder: Path, workspace: str) -> str:
    """Where the rootdir is in the repository that GitHub knows; "" if it is its top."""
    try:
        top = os.path.realpath(workspace)
        inside = Path(os.path.realpath(folder)).relative_to(top) if workspace else Path()
    except ValueError:  # tests of another place
        return ""
    return "" if inside == Path() else inside.as_posix()
