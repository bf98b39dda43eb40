"""Helpers for tests that go through the door: a real pytest run with real measuring processes.

Whatever is judged here is off by a factor of several, so that a busy machine changes nothing; small numbers are judged
in tests/unit on made-up samples. A small --perf-budget keeps runs short: it ends the measuring of a test after a few
processes.
"""

from __future__ import annotations

import inspect
import json
import re

import pytest

SHORT = ("--perf-budget=400ms",)

WORK = """
import os
import pytest

def work():
    return sum(range(20_000))

@pytest.mark.perf
def test_work():
    work()
"""


#: What a test's source names where its runs need the other plugins that are installed.
_OTHERS = ("xdist", "asyncio", "anyio", "hypothesis", '"-n"', "workers")


#: What a test's source says where it cannot do without another plugin.
_NEEDS = {"mark.asyncio": "pytest_asyncio", "mark.anyio": "anyio", '"-n"': "xdist"}


@pytest.fixture(autouse=True)
def _needed_plugins(request):
    """Skip a test whose runs need a plugin that is not installed."""
    source = inspect.getsource(request.function)
    for word in filter(source.__contains__, _NEEDS):
        pytest.importorskip(_NEEDS[word], reason=f"needs {_NEEDS[word]}")


@pytest.fixture(autouse=True)
def _few_plugins(request, monkeypatch):
    """Load no plugin but ours where the others do not matter: a run, and each of its processes, then starts three times as fast."""
    source = request.node.name + inspect.getsource(request.function) + str(request.fixturenames)
    if not (request.node.get_closest_marker("every_plugin") or any(name in source for name in _OTHERS)):
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        monkeypatch.setenv("PYTEST_PLUGINS", "pytest_perfguard.plugin")


class Project:
    """A project under test in a folder of its own."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        pytester._monkeypatch.setenv("COLUMNS", "200")  # names are shortened on narrow terminals
        self.path = pytester.path
        self.baseline = pytester.path / "perf-baseline.json"
        pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")

    def run(self, *options: str, short: bool = True) -> pytest.RunResult:
        """pytest in a process of its own."""
        return self.pytester.runpytest_subprocess(*(SHORT if short else ()), *options)

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


@pytest.fixture(params=[(), ("-n2",)], ids=["alone", "xdist"])
def distribution(request):
    """The same test without xdist and with two workers."""
    if request.param:
        pytest.importorskip("xdist", reason="needs pytest-xdist")
    return request.param


def last_perf_line(result: pytest.RunResult) -> str:
    """The line that counts the verdicts."""
    return next(line for line in reversed(result.outlines) if re.match(r"perf: (\d+ |nothing)", line))
