"""Helpers for end-to-end tests: real pytest runs with real measuring processes.

Changes that are judged here are a factor of several, so that a busy machine does not affect the verdict; small changes are
judged on synthetic samples in tests/engine. A small --perf-budget keeps runs short: it ends the measuring of a test after a
few processes.
"""

from __future__ import annotations

import json
import re

import pytest

# pytester unloads what a run in this process loads; a second copy of the error classes would be caught nowhere.
import pytest_perfguard.core.errors  # noqa: F401

#: Profiles and call counts take longer than the rest; the tests of explanations ask for them.
SHORT = ("--perf-budget=400ms", "--perf-explain=off")

WORK = """
import os
import pytest

def work():
    return sum(range(20_000))

@pytest.mark.perf
def test_work():
    work()
"""


@pytest.fixture(autouse=True)
def _plugins_of_runs(plugins_of_runs):
    """Runs load only the plugins that their test names."""


class Project:
    """A project under test in a folder of its own."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        pytester._monkeypatch.setenv("COLUMNS", "200")  # a narrow terminal has fewer columns
        self.path = pytester.path
        self.baseline = pytester.path / "perf-baseline.json"
        pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")

    def run(self, *options: str, short: bool = True) -> pytest.RunResult:
        """pytest in a process of its own."""
        return self.pytester.runpytest_subprocess(*(SHORT if short else ()), *options)

    def refusal(self, *options: str) -> str:
        """What pytest, in this process, says of a usage error: such a run ends before anything is measured."""
        result = self.pytester.runpytest_inprocess(*options)
        assert result.ret == 4
        return result.stderr.str()

    def report(self, *options: str, name: str = "report.json") -> tuple[pytest.RunResult, dict]:
        """The run and its JSON report."""
        result = self.run(f"--perf-report={name}", *options)
        return result, json.loads((self.path / name).read_text())

    def rewrite_baseline(self, factor: float = 1.0) -> None:
        """As if the code had been `factor` times faster when it was recorded, on a machine of the same speed."""
        data = json.loads(self.baseline.read_text())
        for part in data["classes"].values():
            for record in part["tests"].values():
                for name, kept in record["metrics"].items():
                    if name.startswith(("time", "cpu")):
                        kept["minima"] = [value / factor for value in kept["minima"]]
                        kept["medians"] = [value / factor for value in kept["medians"]]
        self.baseline.write_text(json.dumps(data))


@pytest.fixture
def project(pytester):
    return Project(pytester)


#: The baseline of a project whose test file is called FILE: recorded once, since that takes seconds.
_baseline_of_work: list[str] = []


@pytest.fixture
def recorded(project):
    """A project with one test and its baseline."""
    file = project.pytester.makepyfile(WORK).name
    if not _baseline_of_work:
        assert project.run("--perf-baseline").ret == 0
        _baseline_of_work.append(project.baseline.read_text().replace(file, "FILE"))
    project.baseline.write_text(_baseline_of_work[0].replace("FILE", file))
    return project


@pytest.fixture(
    params=[
        pytest.param((), id="alone"),
        pytest.param(("-n2",), id="xdist", marks=pytest.mark.plugins("xdist")),
    ]
)
def distribution(request):
    """The options of a run without xdist, and of one with two workers."""
    return request.param


def last_perf_line(result: pytest.RunResult) -> str:
    """The line that counts the verdicts."""
    return next(line for line in reversed(result.outlines) if re.match(r"perf: (\d+ |nothing)", line))
