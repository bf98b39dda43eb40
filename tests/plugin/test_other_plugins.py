"""Other plugins in the same run: those that repeat, seed, limit and trace tests. With stand-ins, and with the real ones if there."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import last_perf_line

QUICK = ("--perf-metrics=memory", "-rR")
IN_CHILD = "import os, random, sys, time, pytest\nIN_CHILD = any('--perf-child' in word for word in sys.argv)\n"
#: Fails the first time it runs at all.
FLAKY = """
@pytest.mark.perf
def test_flaky():
    if not os.path.exists("tried"):
        open("tried", "w").close()
        assert 0, "first time"
"""
#: The protocol of pytest-rerunfailures in short, under its name.
REPEATS_ONCE = """
from _pytest.runner import runtestprotocol

def pytest_configure(config):
    config.pluginmanager.register(RepeatsOnce(), "rerunfailures")

def pytest_report_teststatus(report):
    return ("rerun", "R", "RERUN") if report.outcome == "rerun" else None

class RepeatsOnce:
    def pytest_runtest_protocol(self, item, nextitem):
        for last in (False, True):
            item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
            again = not last and any(report.failed for report in reports)
            for report in reports:
                report.outcome = "rerun" if again and report.failed else report.outcome
                item.ihook.pytest_runtest_logreport(report=report)
            item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
            if not again:
                return True
"""
SEEDS = """
import random

def pytest_addoption(parser):
    parser.addoption("--randomly-seed", type=int, default=None, dest="randomly_seed")

def pytest_configure(config):
    config.option.randomly_seed = config.option.randomly_seed or random.SystemRandom().getrandbits(32)

def pytest_runtest_call(item):
    random.seed(item.config.option.randomly_seed)
"""
DRAWS = (
    IN_CHILD + "\n@pytest.mark.perf\ndef test_draws(tmp_path):\n    print(random.random(), file=open('drawn', 'a'))\n"
)


@pytest.fixture
def real(project, monkeypatch):
    """Load these plugins and no others."""

    def load(**modules):
        for module, package in modules.items():
            pytest.importorskip(module, reason=f"needs {package}")
        monkeypatch.setenv("PYTEST_PLUGINS", ",".join(["pytest_perfguard.plugin", *modules]))
        return project

    return load


def check_repeated(project, *options):
    project.pytester.makepyfile(IN_CHILD + FLAKY)
    result, report = project.report("--perf", *QUICK, *options)
    assert result.ret == 0, result.stdout.str()
    assert result.parseoutcomes()["passed"] == 1
    assert result.parseoutcomes()["rerun"] == 1
    assert report["summary"] == {"measured": 1}


def test_a_test_that_passes_when_repeated_is_measured(project):
    project.pytester.makepyfile(stand_in=REPEATS_ONCE)
    check_repeated(project, "-p", "stand_in")


def test_a_test_that_fails_repeatedly_is_told_once_and_not_measured(project):
    project.pytester.makepyfile(stand_in=REPEATS_ONCE)
    project.pytester.makepyfile(IN_CHILD + FLAKY.replace("if not os.path.exists", "if not IN_CHILD and os.path"))
    result, report = project.report("--perf", *QUICK, "-p", "stand_in")
    assert result.ret == 1
    assert {name: result.parseoutcomes().get(name) for name in ("passed", "failed", "rerun")} == {
        "passed": None, "failed": 1, "rerun": 1
    }  # fmt: skip
    assert report["tests"] == []


def check_seeded(project, *options):
    project.pytester.makepyfile(DRAWS)
    assert project.run("--perf", "--perf-metrics=memory", *options).ret == 0
    drawn = (project.path / "drawn").read_text().split()
    # The first is of the ordinary run; a measuring process begins with the same one, and its further calls go on from there.
    assert drawn.count(drawn[0]) > 1


def test_measuring_processes_draw_the_run_s_own_seed(project):
    project.pytester.makepyfile(stand_in=SEEDS)
    check_seeded(project, "-p", "stand_in")


@pytest.mark.every_plugin  # it is found by the name that its entry point gives it
def test_the_real_rerunfailures(project):
    pytest.importorskip("pytest_rerunfailures", reason="needs pytest-rerunfailures")
    check_repeated(project, "--reruns=1")


def test_the_real_randomly(real):
    check_seeded(real(pytest_randomly="pytest-randomly"))


@pytest.mark.thorough
def test_the_real_timeout_limits_the_ordinary_run_only(real):
    project = real(pytest_timeout="pytest-timeout")
    hangs = "\n@pytest.mark.perf\ndef test_hangs():\n    time.sleep(0 if IN_CHILD else 9)\n"
    long = "\n@pytest.mark.perf\ndef test_long():\n    time.sleep(0.6 if IN_CHILD else 0)\n"
    project.pytester.makepyfile(IN_CHILD + hangs + long)
    result, report = project.report("--perf", "--perf-metrics=memory", "--timeout=0.5")
    result.assert_outcomes(passed=1, failed=1)
    assert [test["nodeid"].rpartition("_")[2] for test in report["tests"]] == ["long"]


def test_the_real_coverage_counts_the_ordinary_run_only(real):
    project = real(pytest_cov="pytest-cov")
    (project.path / "lib.py").write_text("def work(child):\n    if child:\n        return 1\n    return 0\n")
    project.pytester.makepyfile(IN_CHILD + "import lib\n\n@pytest.mark.perf\ndef test_lib():\n    lib.work(IN_CHILD)\n")
    result = project.run("--perf", "--perf-metrics=memory", "--cov=lib", "--cov-report=term")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["lib.py * 75%"])
    assert last_perf_line(result).startswith("perf: 1 measured")
