"""`perfguard noise`: find out how suitable this machine is, by measuring identical code side by side."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Final

from pytest_perfguard.cli.common import (
    Verbs,
    add_verb,
    load_report,
    positive,
    print_json,
    print_lines,
)
from pytest_perfguard.cli.noise_figures import Figures, describe, summarize
from pytest_perfguard.cli.projects import commit_all, run_pytest
from pytest_perfguard.core.atomic_files import atomic_write
from pytest_perfguard.core.errors import CommandError
from pytest_perfguard.engine.report.document import Report

DEFAULT_SECONDS: Final = 120.0
_LIBRARY: Final = '''"""Work of several kinds, 50 to 200 us a call."""
import json

WORDS = [f"word{index % 97}" for index in range(400)]
RECORDS = [{"id": index, "name": f"n{index}", "tags": ["a", "b"]} for index in range(40)]


def arithmetic():
    return sum(number * number % 7 for number in range(1500))


def text():
    return json.loads(json.dumps(RECORDS))


def containers():
    counts = {}
    for word in WORDS:
        counts[word] = counts.get(word, 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def objects():
    return [Exception(str(index)) for index in range(300)]
'''
_TESTS: Final = """import library
import pytest

pytestmark = pytest.mark.perf


@pytest.mark.parametrize("kind", ["arithmetic", "text", "containers", "objects"])
def test_identical_code(kind):
    getattr(library, kind)()
"""


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "noise", _run, "find out how suitable this machine is for judging builds",
        description="Measure identical code side by side, repeatedly, and print the smallest slowdown that --perf-against can detect "
        "on this machine and the number of false alarms. Needs git. Exit status 1 if the machine is not suitable.",
    )  # fmt: skip
    parser.add_argument(
        "--seconds",
        type=positive(float),
        default=DEFAULT_SECONDS,
        help="duration, at least one trial (default: %(default)g)",
    )


def _run(options: argparse.Namespace) -> int:
    reports = _trials(options.seconds, quiet=options.json)
    found = summarize(reports)
    if options.json:
        print_json(_data(found, reports))
    else:
        print_lines(*describe(found))
    return 0 if found.fit else 1


def _trials(seconds: float, *, quiet: bool) -> list[Report]:
    reports: list[Report] = []
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        _make_project(folder)
        begin = time.monotonic()
        while not reports or time.monotonic() - begin < seconds:
            reports.append(_trial(folder))
            if not quiet:
                verdicts = ", ".join(f"{count} {word}" for word, count in reports[-1].summary.items())
                passed = time.monotonic() - begin
                print_lines(f"trial {len(reports)}: {verdicts} ({passed:.0f} s of {seconds:.0f} s)", error=True)
    return reports


def _make_project(folder: Path) -> None:
    atomic_write(folder / "library.py", _LIBRARY)
    atomic_write(folder / "test_noise.py", _TESTS)
    atomic_write(folder / "pytest.ini", "[pytest]\npythonpath = .\n")
    commit_all(folder)
    # A comment does not change the code, but without any difference there is nothing to compare.
    atomic_write(folder / "library.py", f"{_LIBRARY}\n# a comment\n")


def _trial(folder: Path) -> Report:
    path = folder / "report.json"
    done = run_pytest(folder, ["-q", "--perf-against=HEAD", "--perf-metrics=time", f"--perf-report={path}"], quiet=True)
    if done.returncode not in (0, 1) or not path.exists():
        raise CommandError(f"the trial failed: pytest ended with status {done.returncode}\n{done.stdout}")
    return load_report(path)


def _data(found: Figures, reports: list[Report]) -> dict[str, object]:
    return {
        "machine": {"class": reports[0].machine.name, **reports[0].machine.facts},
        "trials": len(reports),
        "verdicts": found.verdicts,
        "unjudged": found.unjudged,
        "false_alarms": found.false_alarms,
        "highest_false_alarm_rate": found.highest_rate,
        "inconclusive": found.inconclusive,
        "pinned": found.pinned,
        "smallest_slowdown": found.smallest,
        "standard_deviation_of_minimum": found.repeats,
        "fit": found.fit,
    }
