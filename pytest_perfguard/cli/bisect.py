"""`perfguard bisect`: find the commits that made a test slower, use more memory, or leak."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest_perfguard
from pytest_perfguard.cli.bisect_lines import FinishedSearch, announcement, result_data, result_lines, result_of
from pytest_perfguard.cli.bisect_run import BisectTarget, Comparer
from pytest_perfguard.cli.bisect_start import (
    Ends,
    base_command,
    check_metric,
    ends_from_history,
    pytest_settings,
    similar_tests,
    test_file,
)
from pytest_perfguard.cli.common import Verbs, add_verb, print_json, print_lines
from pytest_perfguard.core.errors import CommandError, PerfguardError, SettingError
from pytest_perfguard.core.git import find_repository, git_or_empty
from pytest_perfguard.core.option_specs import STORED_THRESHOLD
from pytest_perfguard.core.parsers import METRICS, parse_command
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.core.text import plural
from pytest_perfguard.core.units import parse_percent
from pytest_perfguard.engine.bisect.candidate import Workplace
from pytest_perfguard.engine.bisect.commits import Commit, find_end, read_commits, relevant
from pytest_perfguard.engine.bisect.search import Query, SearchResult, find_steps
from pytest_perfguard.engine.bisect.state import Comparison, SavedSearch, saved_search
from pytest_perfguard.engine.runner.base_tree import BaseBuild
from pytest_perfguard.engine.runner.revision import Revision
from pytest_perfguard.engine.runner.test_overlay import TestFiles
from pytest_perfguard.engine.runner.worktree import check_out

#: Exit status of a process that an interrupt from the keyboard has ended.
INTERRUPTED = 130


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "bisect", _run, "find the commits that made a test slower, use more memory, or leak",
        description="Find the commits between two revisions that made a test slower, by measuring them side by side, each in a temporary "
        "worktree. Your working tree is not touched. An interrupted search goes on where it was. Exit status 1 if no "
        "commit is found.",
    )  # fmt: skip
    parser.add_argument("test", metavar="NODEID", help="the test, as for pytest")
    parser.add_argument("--good", metavar="REV", help="an older revision, at which the test was fast")
    parser.add_argument(
        "--bad", metavar="REV", default="HEAD", help="the revision at which it is slow (default: %(default)s)"
    )
    parser.add_argument(
        "--from-history",
        action="store_true",
        help="search between the recordings around the largest step in the history of the baseline file",
    )
    parser.add_argument("--metric", default="time", help=f"{', '.join(METRICS)}, or leaks (default: %(default)s)")
    parser.add_argument("--threshold", help="smallest slowdown that counts (default: 3%%, or the project's)")
    parser.add_argument("--budget", help="maximum measuring time per comparison (default: 20s, or the project's)")
    parser.add_argument(
        "--base-command",
        metavar="COMMAND",
        help="builds a commit into {target} (default: the ini key perf_base_command)",
    )
    parser.add_argument("--restart", action="store_true", help="measure again what an earlier search has measured")


def _run(options: argparse.Namespace) -> int:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # it would leave worktrees and processes behind
    try:
        done = _searched(options)
    except KeyboardInterrupt:
        print_lines("", "perfguard: interrupted; the same command goes on where it was", error=True)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    if options.json:
        print_json(result_data(done))
    else:
        print_lines(*result_lines(done))
    return 0 if done.found.steps else 1


def _searched(options: argparse.Namespace) -> FinishedSearch:
    _check(options)
    top = find_repository(Path())
    if top is None:
        raise CommandError(
            f"{Path().absolute()}: not a git repository; run perfguard bisect inside the repository of the test"
        )
    ends = _ends(options)
    bad = find_end(top, ends.bad, "--bad")
    good = find_end(top, ends.good, "--good")
    commits = read_commits(top, good, bad)
    folder = PurePosixPath(Path().resolve().relative_to(top.resolve()).as_posix())
    with check_out(bad) as bad_tree:
        place = _workplace(options, top, folder, bad_tree, bad)
        chosen = relevant(
            top, commits, lambda file: place.tests.contains(file) or top / file == Path(options.file).resolve()
        )
        _report_start(options, ends, good, bad, len(commits), len(chosen))
        target = BisectTarget(options.test, options.metric, tuple(_measuring_options(options)))
        with saved_search(top, _identity(options, good, bad, place), restart=options.restart) as saved:
            search = _Run(place, chosen, Comparer(place, chosen, target), saved, target)
            found = search.run()
        return FinishedSearch(top, options.test, options.metric, chosen, saved.comparisons, found)


def _check(options: argparse.Namespace) -> None:
    """Check the values that pytest gets later.

    Raises
    ------
    SettingError
    """
    check_metric(options.metric)
    given = {name: getattr(options, name) for name in ("threshold", "budget", "base_command")}
    try:
        resolve(marker={}, command_line=given, ini={})
    except SettingError as error:
        raise SettingError(error.problem, error.place.replace("--perf-", "--")) from None


def _ends(options: argparse.Namespace) -> Ends:
    if options.from_history and options.good:
        raise SettingError("--good and --from-history exclude each other; give one of them", "--good")
    if options.from_history:
        threshold = parse_percent(options.threshold) if options.threshold else STORED_THRESHOLD
        return ends_from_history(Path(options.file), options.test, options.metric, threshold)
    if not options.good:
        raise SettingError("name an older revision with --good=REV, or start with --from-history", "--good")
    return Ends(options.good, options.bad)


def _workplace(
    options: argparse.Namespace, top: Path, folder: PurePosixPath, bad_tree: Path, bad: Revision
) -> Workplace:
    file = test_file(bad_tree, folder, options.test, bad.label)
    settings = pytest_settings(bad_tree, file)
    command = options.base_command or base_command(bad_tree, settings)
    return Workplace(
        top, folder, bad_tree, TestFiles.from_perf_tests([file]), settings,
        BaseBuild(parse_command(command) if command else None), dict(os.environ),
    )  # fmt: skip


def _measuring_options(options: argparse.Namespace) -> Iterator[str]:
    for name in ("threshold", "budget", "base_command"):
        if (value := getattr(options, name)) is not None:
            yield f"--perf-{name.replace('_', '-')}={value}"


def _identity(options: argparse.Namespace, good: Revision, bad: Revision, place: Workplace) -> dict[str, object]:
    """Return everything on which the outcome of a comparison depends."""
    return {
        "test": options.test, "folder": str(place.folder), "good": good.commit, "bad": bad.commit,
        "metric": options.metric, "options": list(_measuring_options(options)), "python": sys.executable,
        "version": pytest_perfguard.__version__, "addopts": os.environ.get("PYTEST_ADDOPTS", ""),
    }  # fmt: skip


def _report_start(
    options: argparse.Namespace, ends: Ends, good: Revision, bad: Revision, all_commits: int, chosen: int
) -> None:
    left_out = all_commits - chosen
    verb = "other changes" if left_out == 1 else "others change"
    others = f"; {left_out} {verb} only tests or the baseline" if left_out else ""
    lines = [
        f"perfguard: {options.metric} of {options.test}, {plural(chosen - 1, 'commit')} from {good.label} to {bad.label}{others}"
    ]
    lines += [f"perfguard: {ends.remark}"] if ends.remark else []
    if options.bad == "HEAD" and git_or_empty(bad.top, "status", "--porcelain", "--untracked-files=no"):
        lines.append("perfguard: the working tree has uncommitted changes, which are not measured")
    print_lines(*lines, error=True)


@dataclass(frozen=True)
class _Run:
    """Answers the queries of the search, by earlier comparisons first."""

    place: Workplace
    commits: Sequence[Commit]
    comparer: Comparer
    saved: SavedSearch
    target: BisectTarget

    def run(self) -> SearchResult:
        """Run the search to its end."""
        search = find_steps(len(self.commits) - 1)
        query, number = next(search), 0
        while True:
            comparison = self._earlier(query, number) or self._made(query)
            number += 1
            try:
                query = search.send(comparison.outcome)
            except StopIteration as end:
                result: SearchResult = end.value
                return result

    def _earlier(self, query: Query, number: int) -> Comparison | None:
        """Return the comparison that an earlier process has made."""
        if number >= len(self.saved.comparisons):
            return None
        if number == 0:
            print_lines(f"perfguard: going on after {plural(len(self.saved.comparisons), 'comparison')} of an earlier search; "
                        "--restart makes them again", error=True)  # fmt: skip
        earlier = self.saved.comparisons[number]
        if (earlier.base, earlier.head, earlier.purpose) == (*self._hashes(query), query.purpose):
            return earlier
        self.saved.cut(number)  # of another version of the search
        return None

    def _made(self, query: Query) -> Comparison:
        metric = self.saved.comparisons[0].metric if self.saved.comparisons else self.target.metric
        print_lines(announcement(query, self.commits, self.saved.comparisons), error=True, end=" ... ")
        try:
            comparison = self.comparer.compare(query, metric)
        except PerfguardError:
            print_lines("", error=True)  # ends the line of the announcement
            raise
        print_lines(result_of(comparison), error=True)
        if not self.saved.comparisons and comparison.outcome.skipped:
            hint = similar_tests(self.place.bad_tree, self.place.folder, self.target.test)
            raise CommandError(f"{self.target.test} cannot be compared: {comparison.outcome.skipped}{hint}")
        self.saved.add(comparison)
        return comparison

    def _hashes(self, query: Query) -> tuple[str, str]:
        return self.commits[query.base].hash, self.commits[query.head].hash
