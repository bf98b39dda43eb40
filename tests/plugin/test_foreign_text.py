"""What tests, files and workers wrote steers neither the terminal nor the CI system that reads the log."""

from __future__ import annotations

import re

HOSTILE = r"\x1b]0;owned\x07\x1b[2J::error::from a worker\n::set-output name=token::x\n##[set-output name=t;]x\n"


def harmless(result) -> bool:
    """No control character, and no line that a CI system obeys."""
    text = result.stdout.str() + result.stderr.str()
    lines = text.splitlines()
    commands = [line for line in lines if line.lstrip().startswith("::") or "##[" in line or "##vso[" in line]
    return not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text) and not commands


def test_the_last_lines_of_a_worker(project):
    """A worker that dies shows what it wrote."""
    project.pytester.makepyfile(
        f"""
        import os, sys, pytest

        if any(argument.startswith("--perf-child") for argument in sys.argv):
            os.write(2, b"{HOSTILE}")
            os._exit(3)

        @pytest.mark.perf
        def test_dies():
            pass
        """
    )
    result = project.run("--perf")
    result.stdout.re_match_lines([r".*::error::from a worker", r"\\x3a:set-output name=token"])
    assert result.ret == 1
    assert harmless(result)


def test_the_text_of_an_exception(project):
    """A test that fails in a worker only, and whose message is hostile."""
    project.pytester.makepyfile(
        f"""
        import pytest

        calls = []

        @pytest.mark.perf
        def test_raises():
            calls.append(1)
            if len(calls) > 1:
                raise ValueError("{HOSTILE}")
        """
    )
    result = project.run("--perf")
    assert result.ret == 1
    assert harmless(result)
    result.stdout.fnmatch_lines(["*from a worker*"])


def test_a_usage_error(project):
    """The value of an option."""
    project.pytester.makepyfile("def test_a(): pass")
    result = project.run("--perf-budget=soon\n::error::x\x1b[2J", short=False)
    assert result.ret == 4
    assert harmless(result)


def test_names_of_files_in_a_baseline(recorded):
    """A baseline file from elsewhere names tests as it likes."""
    hostile = "::error::x\\u001b[2J\\n::error::y.py::test_gone"
    text = recorded.baseline.read_text()
    name = re.search(r'"([^"]*::test_work)"', text)[1]
    recorded.baseline.write_text(text.replace(name, hostile))
    result = recorded.run("--perf-compare", "--perf-strict")
    assert harmless(result)
    result.stdout.fnmatch_lines(["*missing*"])


def test_names_of_fixtures_and_tests_in_the_list_of_set_ups(project):
    """`--perf-setup`."""
    project.pytester.makepyfile(
        r"""
        import pytest

        @pytest.fixture(name="\x1b[2J")
        def odd():
            pass

        @pytest.mark.parametrize("value", [1], ids=["x"])
        @pytest.mark.usefixtures("\x1b[2J")
        def test_a(value):
            pass
        """
    )
    result = project.run("--perf-setup", "-q", short=False)
    assert result.ret == 0
    assert harmless(result)
