"""Why a test got slower, in a real run; what is planted is large."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from pytest_perfguard.engine.report.packed import unpacked
from tests.repository import Repository

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

RULES = """
def match(rule, text):
    return sum(letter in rule for letter in text * 20) > 3
"""
PRICES = """
import json
from rules import match

KEPT = []

def total(rows):
    tariff = match("abc", "abcabc")
    result = 0
    for row in rows:
        result += price(row) if tariff else 0
    return result

def price(row):
    return len(json.dumps(row))
"""
LOOPED = PRICES.replace('    tariff = match("abc", "abcabc")\n', "").replace(
    "        result +=", '        tariff = match("abc", "abcabc")\n        result +='
)
TEST = """
import pytest
import prices

@pytest.mark.perf
def test_total():
    prices.total([{"n": n} for n in range(40)])
"""
INI = "[pytest]\npythonpath = .\nperf_metrics = {metrics}\nasyncio_default_fixture_loop_scope = function\n"
NODEID = "test_prices.py::test_total"


class Versioned(Repository):
    """A project in a git repository."""

    def __init__(self, project):
        super().__init__(project.path)
        self.project = project
        self.write({".gitignore": "__pycache__\n*.lock\nreport.json\n.pytest_cache\nrunpytest-*\nstdout\nstderr\n"})

    def start(self, metrics="time"):
        return self.commit(
            {"rules.py": RULES, "prices.py": PRICES, "test_prices.py": TEST, "pytest.ini": INI.format(metrics=metrics)}
        )

    def report(self, *options):
        result, report = self.project.report("--perf-budget=20s", "--perf-explain=auto", *options)
        (test,) = [test for test in report["tests"] if test["nodeid"] == NODEID]
        return result, test


@pytest.fixture
def versioned(project):
    return Versioned(project)


def test_a_call_in_a_loop_is_named_with_its_calls_its_caller_and_the_diff(versioned):
    versioned.start()
    versioned.write({"prices.py": LOOPED})
    result, test = versioned.report(
        "--perf-against=HEAD", "--perf-report=page.html", "--perf-report=x.folded", "--perf-report=x.speedscope.json"
    )
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "where the time went",
            "  +* in rules.py:2 match, 1 -> 40 calls per iteration from prices.py:7 total; changed in this diff",
        ]
    )
    (explained,) = test["explanation"]["metrics"]
    blame = explained["blames"][0]
    assert (blame["location"]["name"], blame["caller"]["name"], blame["changed"]) == ("match", "total", True)
    assert blame["calls"] == {"before": 1.0, "now": 40.0}
    assert blame["amount"] > 0.7 * explained["loss"]
    assert sum(each["amount"] for each in explained["blames"]) + explained["rest"] == pytest.approx(explained["loss"])
    assert "where the time went" in test["explanation"]["lines"]
    packed = re.search(r'id="data">(.*?)</script>', (versioned.path / "page.html").read_text())[1]
    assert '<svg class="icicle"' in unpacked(packed)["pictures"][0]
    assert "prices.py:total;rules.py:match " in (versioned.path / "x.folded").read_text()
    speedscope = json.loads((versioned.path / "x.speedscope.json").read_text())
    assert [profile["name"] for profile in speedscope["profiles"]] == [f"{NODEID} (base)", f"{NODEID} (head)"]


@pytest.mark.thorough
def test_memory_is_explained_by_line(versioned):
    versioned.start(metrics="memory")
    versioned.write(
        {"prices.py": PRICES.replace("    result = 0\n", "    result = 0\n    kept = bytearray(500_000)\n")}
    )
    result, _test = versioned.report("--perf-against=HEAD")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["where the memory went", "  +50? KB of +50? KB at prices.py:10 total; changed in this diff"]
    )


@pytest.mark.thorough
def test_off_profiles_nothing(versioned):
    versioned.start()
    versioned.write({"prices.py": LOOPED})
    result, test = versioned.report("--perf-against=HEAD", "--perf-explain=off")
    assert result.ret == 1
    assert "where the time went" not in result.stdout.str()
    assert "metrics" not in test["explanation"]


@pytest.mark.thorough
def test_a_green_run_loads_no_profiler(versioned):
    versioned.start()
    conftest = (
        "import sys\n\ndef pytest_unconfigure():\n"
        "    print('LOADED', sorted(name for name in sys.modules if name.startswith('pytest_perfguard.engine.profile.')))\n"
    )
    versioned.write({"rules.py": RULES + "# a remark\n", "conftest.py": conftest})
    result, test = versioned.report("--perf-against=HEAD", "--perf-threshold=100%")
    assert result.ret == 0
    assert test["verdict"] == "unchanged"
    (line,) = [line for line in result.outlines if line.startswith("LOADED")]
    assert "profile_runner" not in line
    assert "perf: profiling" not in result.stdout.str()


@pytest.mark.thorough
def test_a_baseline_keeps_numbers_of_calls_and_explains_without_git(project):
    """No revision can be had: the head beside the calls that were recorded."""
    files = {"rules": RULES, "prices": PRICES, "test_prices": TEST}
    project.pytester.makepyfile(**files)
    project.pytester.makeini(INI.format(metrics="time"))
    assert project.run("--perf-baseline", "--perf-explain=auto").ret == 0
    (part,) = json.loads(project.baseline.read_text())["classes"].values()
    assert part["tests"][NODEID]["calls"]["|rules.py|match"] == 1
    project.pytester.makepyfile(prices=LOOPED)
    result, report = project.report("--perf-compare", "--perf-explain=auto")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["  about * in rules.py:? match, 1 -> 40 calls per iteration from prices.py:? total"])
    assert report["tests"][0]["explanation"]["metrics"][0]["basis"] == "counts"


@pytest.mark.thorough
def test_an_explanation_that_fails_leaves_the_verdict(versioned):
    """Its process ends under the profiler."""
    versioned.start()
    test = TEST.replace(
        "    prices.total", "    if sys.getprofile() is not None:\n        os._exit(3)\n    prices.total"
    ).replace("import pytest", "import os\nimport sys\nimport pytest")
    versioned.write({"prices.py": LOOPED, "test_prices.py": test})
    result, test = versioned.report("--perf-against=HEAD")
    assert result.ret == 1
    assert test["verdict"] == "regression"
    result.stdout.fnmatch_lines(["where the time went", "  not profiled: *"])


@pytest.mark.parametrize("value", ["maybe", "1s"])
def test_a_wrong_value_names_the_valid_ones(project, value):
    project.pytester.makepyfile(TEST)
    result = project.run(f"--perf-explain={value}")
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*--perf-explain: '{value}' does not choose when to explain (valid: auto, on, off)"])
