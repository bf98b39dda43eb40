"""Reports of a run: the requested files, and the summary and annotations that GitHub Actions displays."""

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
from pytest_perfguard.core.system_errors import explain_error
from pytest_perfguard.engine.baseline.commit import current_commit
from pytest_perfguard.engine.history.snapshots import from_git
from pytest_perfguard.engine.history.trends import HistoryQuery, Trend, find_trends
from pytest_perfguard.engine.report.document import Report, ReportedTest, sides_of
from pytest_perfguard.engine.report.github import annotation_commands
from pytest_perfguard.engine.report.links import find_origin
from pytest_perfguard.engine.report.markdown import markdown_report
from pytest_perfguard.engine.report.render import rendered
from pytest_perfguard.engine.verdict.stopping import to_record
from pytest_perfguard.plugin.modes.base import Mode
from pytest_perfguard.plugin.options import run_settings
from pytest_perfguard.plugin.outcomes import Explanation
from pytest_perfguard.plugin.output import usage_error

#: Location of a test: path relative to the rootdir, line counted from 0, name.
Location = tuple[str, int | None, str]
#: GitHub accepts step summaries of up to 1 MiB, and a character takes up to four bytes.
_MAX_SUMMARY_CHARACTERS: Final = 250_000
#: Maximum number of past states of the baseline file on a page: each is a file to read from git.
_MAX_STATES: Final = 30


def check_reports(config: pytest.Config) -> None:
    """Raise `pytest.UsageError` if a report cannot be written, before minutes of measuring."""
    for name in run_settings(config).report:
        if problem := _unwritable(config.rootpath / name):
            raise usage_error(f"--perf-report={name}: {problem}")


class ReportWriter:
    """Collects the verdicts of the measuring phase, and writes the reports at the end."""

    def __init__(self, config: pytest.Config, mode: Mode) -> None:
        self._config = config
        self._mode = mode
        self._entries: dict[str, ReportedTest] = {}

    def add(
        self,
        comparison: Comparison,
        location: Location,
        failure: Explanation | None,
        alone: Measurement | None = None,
    ) -> None:
        """Add the verdict of a test.

        `failure` is its text if it failed. `alone` is its measurement by itself, if the verdict is a pair's.
        """
        record = self._mode.record_of(comparison.nodeid)
        pairing, measurement = comparison.pairing, alone or comparison.measurement
        base = pairing.revision if pairing is not None else record.commit if record is not None else ""
        source = self._mode.source_of(comparison.nodeid)
        measured = bool(measurement.samples) and not comparison.broken
        entry = ReportedTest(
            comparison=comparison,
            sides=sides_of(comparison, record),
            record=to_record(measurement, source=source, commit=self._commit or "") if measured else None,
            file=location[0],
            line=0 if location[1] is None else location[1] + 1,
            base=base,
            lines=tuple(failure.lines) if failure is not None else (),
            headline=failure.reprcrash.message if failure is not None else "",
        )
        self._entries[comparison.nodeid] = entry

    @cached_property
    def _commit(self) -> str | None:
        try:
            return current_commit(self._config.rootpath, self._mode.store.path)
        except RevisionError:  # a mode that needs the repository has raised this before any test ran
            return None

    def write(self, *, complete: bool, notes: Iterable[str]) -> list[str]:
        """Write every requested report, and return the errors. Relative paths start at the rootdir."""
        names = run_settings(self._config).report
        summary = os.environ.get("GITHUB_STEP_SUMMARY", "") if _on_github() else ""
        if not names and not summary:
            return []
        report = replace(self._report(), complete=complete, notes=tuple(notes))
        problems = []
        for name in names:
            try:
                atomic_write(self._config.rootpath / name, rendered(report, name, self._history))
            except Exception as error:  # so that the other reports and the verdicts are not lost
                problems.append(f"the report {name} could not be written: {explain_error(error)}")
        if summary:
            try:
                with Path(summary).open("a", encoding="utf-8", errors="backslashreplace") as stream:
                    stream.write(markdown_report(report, _MAX_SUMMARY_CHARACTERS))
            except Exception as error:
                problems.append(f"GITHUB_STEP_SUMMARY={summary} could not be written: {explain_error(error)}")
        return problems

    def annotations(self) -> Iterator[str]:
        """Under GitHub Actions: yield the commands that annotate failed tests at their lines."""
        if _on_github():
            workspace = os.environ.get("GITHUB_WORKSPACE", "")
            yield from annotation_commands(self._report(), _below(self._config.rootpath, workspace))

    def _report(self) -> Report:
        settings = run_settings(self._config)
        now = datetime.datetime.now(datetime.timezone.utc)
        return Report(
            mode=self._mode.name,
            machine=self._mode.machine,
            settings=(settings.for_pairs() if self._mode.name == "against" else settings).as_data(),
            entries=tuple(self._entries.values()),
            at=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            commit=self._commit or "",
            against=self._mode.against or "",
            origin=find_origin(self._config.rootpath, os.environ),
        )

    def _history(self) -> Sequence[Trend]:
        """Return the history of this report's tests, if git has the history of the baseline file."""
        here = self._mode.machine.name

        def wanted(machine: str, nodeid: str) -> bool:
            return machine == here and nodeid in self._entries

        try:
            snapshots, _remarks = from_git(self._mode.store.path, _MAX_STATES, wanted)
        except (RevisionError, BaselineError):  # no git, or no baseline file, which this mode may not need
            return ()
        return find_trends(snapshots, HistoryQuery(run_settings(self._config).threshold))


def _unwritable(file: Path) -> str | None:
    """Return why the file cannot be written, or None. Missing folders are created when it is written."""
    if os.path.isdir(file):  # noqa: PTH112 - False, and no error, for a folder without permissions
        return "this is a folder; name a file in it"
    for folder in file.parents:
        try:
            mode = folder.stat().st_mode
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"cannot be written: {error.strerror or error}; name another folder"
        if not stat.S_ISDIR(mode):
            return f"{folder} is not a folder; name another one"
        if not os.access(folder, os.W_OK | os.X_OK):
            return f"{folder} is not writable; name another folder"
        break
    return None


def _on_github() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def _below(folder: Path, workspace: str) -> str:
    """Return the path of the rootdir within GitHub's checkout; empty for the checkout itself."""
    try:
        top = os.path.realpath(workspace)
        inside = Path(os.path.realpath(folder)).relative_to(top) if workspace else Path()
    except ValueError:  # the tests are outside of the checkout
        return ""
    return "" if inside == Path() else inside.as_posix()
