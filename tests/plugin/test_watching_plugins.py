"""Plugins that watch results and plugins that decide about running, beside a run that measures."""

from __future__ import annotations

import json
import sys

import pytest

from tests.plugin.conftest import last_perf_line

TIME = ("--perf", "--perf-metrics=time")
IN_CHILD = "import os, sys, time, pytest\nIN_CHILD = any('--perf-child' in word for word in sys.argv)\n"
#: Writes down what it sees, and in which kind of process.
WATCHES = (
    IN_CHILD
    + """
def saw(text):
    with open("saw", "a") as file:
        file.write(("child " if IN_CHILD else "") + text + "\\n")

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    told = type(call.excinfo.value).__name__ if call.excinfo else ""
    saw(f"{item.name} {report.when} {report.outcome} {told}".strip())
    return report

def pytest_sessionfinish():
    saw("end")
"""
)
TOO_SLOW = """
@pytest.mark.perf(max_time="1ns")
def test_slow():
    sum(range(1000))

@pytest.mark.perf
def test_good():
    pass
"""


@pytest.fixture
def watched(project):
    """Run with this conftest and these tests; returns the result and what the conftest wrote down."""

    def run(conftest, tests, *options):
        project.pytester.makeconftest(conftest)
        project.pytester.makepyfile(IN_CHILD + tests)
        result = project.run(*(options or TIME))
        saw = project.path / "saw"
        return result, saw.read_text().splitlines() if saw.exists() else []

    return run


def test_a_hook_that_watches_sees_the_verdict_once_and_nothing_of_the_workers(watched):
    result, saw = watched(WATCHES, TOO_SLOW)
    result.assert_outcomes(failed=1, passed=1)
    assert saw == [
        "test_slow setup passed", "test_slow call failed PerformanceFailure", "test_slow teardown passed",
        "test_good setup passed", "test_good call passed", "test_good teardown passed", "end",
    ]  # fmt: skip


FAILS = """
@pytest.mark.perf
def test_fails():
    assert 0

@pytest.fixture
def closes():
    yield
    assert 0, "teardown"

@pytest.mark.perf
def test_does_not_close(closes):
    pass

@pytest.mark.perf
@pytest.mark.skip
def test_skipped():
    pass
"""


def test_what_fails_in_the_ordinary_run_is_seen_once_in_its_order(watched):
    _result, saw = watched(WATCHES, FAILS)
    assert saw == [
        "test_fails setup passed", "test_fails call failed AssertionError", "test_fails teardown passed",
        "test_does_not_close setup passed", "test_does_not_close call passed",
        "test_does_not_close teardown failed AssertionError",
        "test_skipped setup skipped Skipped", "test_skipped teardown passed", "end",
    ]  # fmt: skip


def test_a_run_that_stops_tells_those_that_watch_what_it_knows(watched):
    tests = "\n@pytest.mark.perf\ndef test_good():\n    pass\n\ndef test_stops():\n    raise KeyboardInterrupt\n"
    result, saw = watched(WATCHES, tests)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert [line for line in saw if "test_good" in line] == [
        "test_good setup passed", "test_good call passed", "test_good teardown passed"
    ]  # fmt: skip


#: From pytest's documentation: fixtures look at the result of the test as they are torn down.
RECIPE = (
    IN_CHILD
    + """
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    {remember}
    return report

@pytest.fixture
def looks(request):
    yield
    assert {recall}.passed
"""
)


@pytest.mark.parametrize(
    ("remember", "recall"),
    [
        ('setattr(item, "rep_" + report.when, report)', "request.node.rep_call"),
        ("if report.when == 'call': item.rep_call = report", "request.node.rep_call"),
        ('item.stash.setdefault(KEY, {})[report.when] = report', 'request.node.stash[KEY]["call"]'),
    ],
    ids=["setattr", "attribute", "stash"],
)  # fmt: skip
def test_fixtures_that_look_at_the_result_find_it(watched, remember, recall):
    conftest = RECIPE.replace("{remember}", remember).replace("{recall}", recall)
    tests = "\n@pytest.mark.perf\ndef test_it(looks):\n    pass\n"
    result, _saw = watched(conftest.replace("import os", "KEY = __import__('pytest').StashKey()\nimport os"), tests)
    result.assert_outcomes(passed=1)


def test_a_hook_that_cannot_be_told_afterwards_costs_no_verdict(watched):
    conftest = WATCHES.replace(
        "    report = yield\n", "    report = yield\n    assert report.passed, 'I only know success'\n"
    )
    result, _saw = watched(conftest, TOO_SLOW)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        ["*failed when it received the final result of *::test_slow: AssertionError: I only know success*"]
    )


#: pytest-dependency in short; with `wrapper` as a hook wrapper.
DEPENDS = (
    IN_CHILD
    + """
passed = set()

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and report.passed:
        passed.add(item.name)
    return report

@pytest.hookimpl{wrapper}
def pytest_runtest_{phase}(item):
    if item.name.startswith("test_second") and "test_first" not in passed:
        {decide}
    {rest}
"""
)


@pytest.mark.parametrize(
    ("wrapper", "phase", "decide", "rest"),
    [
        ("()", "setup", 'pytest.skip("needs the first")', ""),
        ("()", "setup", 'pytest.xfail("needs the first")', ""),
        ("()", "call", 'pytest.skip("needs the first")', ""),
        ("(wrapper=True)", "setup", 'pytest.skip("needs the first")', "return (yield)"),
        ("(hookwrapper=True)", "call", 'pytest.skip("needs the first")', "yield"),
    ],
    ids=["setup", "xfail", "call", "wrapper", "old wrapper"],
)
def test_a_test_that_ran_runs_in_its_workers_whatever_else_did_not(watched, wrapper, phase, decide, rest):
    conftest = DEPENDS.format(wrapper=wrapper, phase=phase, decide=decide, rest=rest)
    tests = """
def test_first():
    pass

@pytest.mark.perf
def test_second():
    pass

@pytest.mark.perf
def test_first_of_two():
    pass
"""
    result, _saw = watched(conftest, tests)
    result.assert_outcomes(passed=3)
    assert last_perf_line(result).startswith("perf: 2 measured")


def test_an_ordinary_test_that_depends_on_a_perf_test_runs(watched):
    tests = "\n@pytest.mark.perf\ndef test_first():\n    pass\n\ndef test_second():\n    pass\n"
    conftest = DEPENDS.format(wrapper="()", phase="setup", decide="pytest.skip('needs the first')", rest="")
    result, _saw = watched(conftest, tests)
    result.assert_outcomes(passed=2)


def test_what_a_fixture_skips_is_told(watched):
    """That is no plugin's decision: the test itself is another one in the worker."""
    picky = "\n@pytest.fixture\ndef picky():\n    IN_CHILD and pytest.skip('not here')\n"
    tests = picky + "\n@pytest.mark.perf\ndef test_it(picky):\n    pass\n"
    result, _saw = watched("", tests)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*skipped in setup: *not here*"])


#: Collects results and writes them down at the end.
COLLECTS = (
    IN_CHILD
    + """
import json
seen = []

def pytest_runtest_logreport(report):
    seen.append(f"{report.nodeid.rpartition(':')[2]} {report.when} {report.outcome}")

def pytest_sessionfinish():
    with open("results.json", "w") as file:
        json.dump(seen, file)
    with open("processes", "a") as file:
        file.write("x")
"""
)


def test_a_plugin_that_writes_results_at_the_end_writes_them_once(watched, project):
    result, _saw = watched(COLLECTS, TOO_SLOW)
    assert result.ret == 1
    seen = json.loads((project.path / "results.json").read_text())
    assert [line for line in seen if " call " in line] == ["test_slow call failed", "test_good call passed"]
    assert (project.path / "processes").read_text() == "x"


def test_a_time_limit_of_pytest_s_own_does_not_hold_for_many_calls(watched, project):
    project.pytester.makeini("[pytest]\nfaulthandler_timeout = 1\nfaulthandler_exit_on_timeout = true\n")
    tests = "\n@pytest.mark.perf\ndef test_waits():\n    time.sleep(0.3)\n"
    result, _saw = watched("", tests, *TIME, "--perf-budget=2s")
    result.assert_outcomes(passed=1)


LIMITED = """
import faulthandler, signal

@pytest.fixture
def limited():
    {begin}
    yield
    {end}

@pytest.mark.perf
def test_waits(limited):
    time.sleep(0.3)
"""


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("signal.alarm(1)", "signal.alarm(0)"),
        ("faulthandler.dump_traceback_later(1, exit=True)", "faulthandler.cancel_dump_traceback_later()"),
    ],
    ids=["alarm", "faulthandler"],
)
def test_a_time_limit_of_a_fixture_does_not_hold_for_many_calls(watched, begin, end):
    result, _saw = watched("", LIMITED.format(begin=begin, end=end), *TIME, "--perf-budget=2s")
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "plugin", ["capture", "faulthandler", "logging", "warnings", "tmpdir", "cacheprovider", "doctest"]
)
def test_a_run_without_a_part_of_pytest_measures(project, plugin):
    project.pytester.makepyfile(IN_CHILD + "\n@pytest.mark.perf\ndef test_it():\n    pass\n")
    result = project.run("--perf", "--perf-metrics=memory", "-p", f"no:{plugin}")
    result.assert_outcomes(passed=1)


def test_plugins_that_a_program_names_to_pytest_reach_the_workers(project):
    (project.path / "by_name.py").write_text("import pytest\n@pytest.fixture\ndef named():\n    return 1\n")
    (project.path / "by_module.py").write_text("import pytest\n@pytest.fixture\ndef module():\n    return 2\n")
    project.pytester.makepyfile(
        IN_CHILD + "\n@pytest.mark.perf\ndef test_it(named, module):\n    assert named + module == 3\n"
    )
    program = (
        "import pytest, by_module\n"
        "raise SystemExit(pytest.main(['--perf', '--perf-metrics=memory', '--perf-budget=1ms'], plugins=['by_name', by_module]))"
    )
    result = project.pytester.run(sys.executable, "-c", program)
    result.assert_outcomes(passed=1)


def test_a_plugin_that_no_worker_can_load_is_named(project):
    project.pytester.makepyfile(IN_CHILD + "\n@pytest.mark.perf\ndef test_it(given):\n    pass\n")
    program = (
        "import pytest\n"
        "class Mine:\n    @pytest.fixture\n    def given(self):\n        return 1\n"
        "raise SystemExit(pytest.main(['--perf', '--perf-metrics=memory'], plugins=[Mine()]))"
    )
    result = project.pytester.run(sys.executable, "-c", program)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["perf: measuring processes cannot load the plugin object Mine *"])


def test_flags_of_the_interpreter_reach_the_workers(project):
    project.pytester.makepyfile(
        IN_CHILD
        + """
@pytest.mark.perf
def test_it():
    with open("seen", "a") as file:
        print(sys.flags, sys._xoptions, sorted(set(sys.warnoptions)), file=file)
"""
    )
    flags = (
        "-O",
        "-s",
        "-X",
        "int_max_str_digits=700",
        "-W",
        "error::ImportWarning",
        "-P" if sys.version_info >= (3, 11) else "-q",
    )
    result = project.pytester.run(
        sys.executable, *flags, "-m", "pytest", "--perf", "--perf-metrics=memory", "--perf-budget=1ms"
    )
    assert result.ret == 0, result.stdout.str()
    lines = (project.path / "seen").read_text().splitlines()
    assert len(lines) > 1
    assert len(set(lines)) == 1


LIMITS = """
import resource

@pytest.fixture
def few():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if IN_CHILD:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

@pytest.mark.perf
def test_it(few):
    pass

@pytest.mark.perf
def test_good():
    pass
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits")
def test_a_limit_that_stops_an_instrument_is_told_and_costs_no_other_test(watched):
    result, _saw = watched("", LIMITS)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "*an instrument of perfguard could not read: OSError: *Too many open files*the measured call did not raise this*"
        ]
    )


FAKES = """
import gc, resource
from unittest import mock

@pytest.mark.perf(leaks=False)
def test_mocks():
    with mock.patch("time.perf_counter_ns", return_value=1), mock.patch("gc.collect", side_effect=OSError("mine")):
        sum(range(100))

@pytest.fixture
def nothing_works(monkeypatch):
    def refuse(*_arguments, **_more):
        raise OSError("mine")
    for name in ("perf_counter_ns", "process_time_ns", "monotonic", "sleep"):
        monkeypatch.setattr(time, name, lambda *_: -1)
    for name in ("listdir", "readlink", "sched_setaffinity", "sched_getaffinity"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(gc, "collect", refuse)
    monkeypatch.setattr(sys, "getallocatedblocks", refuse)
    monkeypatch.setattr(resource, "getrusage", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    psutil = sys.modules.get("psutil")
    if psutil is not None:
        monkeypatch.setattr(psutil, "PROCFS_PATH", "/nowhere")

@pytest.mark.perf
def test_fixture(nothing_works):
    sum(range(100))
"""


def test_a_test_that_replaces_what_the_instruments_use_is_measured_and_checked(watched):
    result, _saw = watched("", FAKES, "--perf", "--perf-leaks", "--perf-budget=4s")
    result.assert_outcomes(passed=2)
    assert last_perf_line(result).startswith("perf: 2 measured")
