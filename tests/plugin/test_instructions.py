"""Real runs that count instructions. They need valgrind, take some seconds each, and are few."""

from __future__ import annotations

import json
import shutil

import pytest

from pytest_perfguard.engine.instructions.sources import NoSource, find_source


def _missing_source() -> str:
    try:
        find_source()
    except NoSource as error:
        return str(error)
    return ""


needs_source = pytest.mark.skipif(bool(_missing_source()), reason=_missing_source() or "there is a source")

LIBRARY = """
UNITS = {units}

def work(units):
    total = 0
    for number in range(units * 10):
        total += square(number) % 7
    return total

def square(number):
    return number * number
"""

TESTS = """
import lib
import pytest

@pytest.mark.perf
def test_changed():
    lib.work(lib.UNITS)

@pytest.mark.perf
def test_same():
    lib.work(100)
"""


def write(project, units):
    project.pytester.makepyfile(lib=LIBRARY.format(units=units), test_it=TESTS)


@pytest.mark.thorough
@needs_source
def test_a_change_of_five_percent_is_found_on_another_class_of_machines(project):
    write(project, 100)
    recorded = project.run("--perf-baseline", "--perf-metrics=instructions", "--perf-explain=auto")
    recorded.assert_outcomes(passed=2)
    recorded.stdout.fnmatch_lines(["perfguard: instructions are counted by *"])
    data = json.loads(project.baseline.read_text())
    (part,) = data["classes"].values()
    assert part["tests"]["test_it.py::test_same"]["metrics"]["instructions"]["unit"] == "instructions"
    project.baseline.write_text(json.dumps({**data, "classes": {"another-machine": part}}))

    write(project, 105)
    result, report = project.report("--perf-compare", "--perf-metrics=instructions", "--perf-explain=auto")
    verdicts = {test["nodeid"]: test["verdict"] for test in report["tests"]}
    assert verdicts == {"test_it.py::test_changed": "regression", "test_it.py::test_same": "unchanged"}
    result.stdout.fnmatch_lines(
        [
            "Executes more instructions than its baseline.",
            "*instructions*[45].? % more instructions*",
            "where the instructions went",
            "*instructions in lib.py:9 square, 1000 -> 1050 calls per iteration from lib.py:3 work",
        ]
    )


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind")
@pytest.mark.parametrize("option", ["--perf-metrics=+instructions", "--perf-metrics=time,instructions"])
def test_instructions_are_off_unless_the_run_names_them(project, option):
    project.pytester.makepyfile("def test_nothing(): pass")
    assert "instructions are counted" not in project.run("--perf").stdout.str()
    assert "instructions are counted" in project.run("--perf", option).stdout.str()


def test_a_machine_without_a_source_gets_a_usage_error(project):
    project.pytester.makeconftest(
        """
        from pytest_perfguard.engine.instructions import sources

        sources.problem_with_hardware = lambda: "no hardware counter"
        sources._callgrind = lambda environment: "valgrind is not installed"
        """
    )
    project.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.perf(metrics="time,instructions")
        def test_marked(): pass

        def test_nothing(): pass
        """
    )
    marked = project.run("--perf")
    assert marked.ret == pytest.ExitCode.USAGE_ERROR
    marked.stderr.fnmatch_lines(["*no hardware counter; valgrind is not installed*apt install valgrind*"])
    assert " 1 process" not in marked.stdout.str(), "nothing was measured in vain"
    result = project.run("--perf", "--perf-metrics=+instructions", "-k", "nothing")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no hardware counter; valgrind is not installed*apt install valgrind*"])
