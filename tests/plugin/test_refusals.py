"""The system refuses something: that is a message about one test or one file, and whatever is decided is reported and kept."""

from __future__ import annotations

import json
import shlex
import sys

import pytest

from tests.plugin.conftest import last_perf_line

TWO = """
import pytest

@pytest.mark.perf
def test_a():
    sum(range(1000))

@pytest.mark.perf
def test_b():
    sum(range(1000))

def test_ordinary():
    pass
"""
#: For a conftest: a function of the controller that the system refuses from its call of this number on.
REFUSE = """
import errno, os, sys
import {module} as module

def refused(*arguments, _original={owner}.{name}, _calls=[], **keywords):
    _calls.append(1)
    if len(_calls) < {call}:
        return _original(*arguments, **keywords)
    raise OSError(errno.{error}, os.strerror(errno.{error}))

if not any("--perf-child" in word for word in sys.argv):
    {owner}.{name} = refused
"""


def refuse(project, owner, name, *, module, error="ENOSPC", call=1):
    project.pytester.makeconftest(REFUSE.format(module=module, owner=owner, name=name, error=error, call=call))


def no_internal_error(result):
    text = result.stdout.str() + result.stderr.str()
    return "INTERNALERROR" not in text and "Traceback" not in text


@pytest.mark.parametrize(
    ("owner", "name", "module"),
    [
        ("module", "TemporaryDirectory", "tempfile"),
        ("module", "TemporaryFile", "tempfile"),
        ("module", "Pipe", "multiprocessing.connection"),
        ("module", "Popen", "subprocess"),
    ],
)
def test_no_worker_can_be_started(project, owner, name, module):
    """A full disk for temporary files, no descriptors, no processes: the tests fail with the reason, in the report, too."""
    project.pytester.makepyfile(TWO)
    refuse(project, owner, name, module=module)
    result, report = project.report("--perf")
    assert result.ret == 1
    assert no_internal_error(result)
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*failed while starting *No space left on device; free some space, or set TMPDIR*"])
    assert report["summary"] == {"broken": 2}
    assert report["complete"]


@pytest.mark.skipif(sys.platform != "linux", reason="counts open files as Linux does")
@pytest.mark.parametrize("limit", [14, 17, 20])
def test_few_descriptors(project, limit):
    """`ulimit -n`: either it is enough, or every perf test fails with the reason."""
    project.pytester.makepyfile(TWO)
    command = (
        f"ulimit -n {limit}; exec {shlex.quote(sys.executable)} -m pytest -p no:cacheprovider --perf --perf-budget=1ms"
    )
    result = project.pytester.run("sh", "-c", command)
    assert result.ret in (0, 1, 4)
    assert no_internal_error(result)
    if result.ret == 1:
        result.stdout.fnmatch_lines(["*Too many open files*; raise the limit (ulimit -n)*"])


def test_an_ordinary_test_that_lowers_limits(project):
    """Of recursion, of open files, and the permissions of new files: put back before the measuring."""
    project.pytester.makepyfile(
        TWO
        + """
def test_lowers():
    import os, resource, sys
    sys.setrecursionlimit(160)
    os.umask(0o777)
    resource.setrlimit(resource.RLIMIT_NOFILE, (9, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
"""
    )
    pytest.importorskip("resource")
    result = project.run("--perf-baseline", "--perf-report=report.md", "-p", "no:cacheprovider")
    assert result.ret == 0, result.stdout.str() + result.stderr.str()
    assert last_perf_line(result).startswith("perf: 2 measured")
    assert project.baseline.stat().st_mode & 0o400
    assert "test_a" in (project.path / "report.md").read_text()


def test_a_perf_test_that_lowers_the_recursion_limit(project):
    """Its source is hashed right after it has run."""
    project.pytester.makepyfile(
        """
        import sys, pytest

        @pytest.mark.perf
        def test_a():
            sys.setrecursionlimit(130)
            return_ = (lambda: ((((((((((1))))))))) + 1, [[[[[[{1: (2, [3])}]]]]]]))()
            assert return_
        """
    )
    result = project.run("--perf-baseline", "-p", "no:cacheprovider")
    assert no_internal_error(result)


def test_measuring_that_stops_in_the_middle(project):
    """What is decided is recorded and reported, the other tests fail, and the exit status is 4."""
    project.pytester.makepyfile(TWO)
    project.pytester.makeconftest(
        """
        import sys
        from pytest_perfguard.engine.runner import runner

        def stops(self, workers, test, *others, original=runner.Runner._measure):
            if test.nodeid.endswith("test_b"):
                raise ImportError("no module named scipy")
            return original(self, workers, test, *others)

        runner.Runner._measure = stops
        """
    )
    result = project.run(
        "--perf-baseline", "--perf-budget=1ms", "--perf-report=report.json", "--junitxml=junit.xml", short=False
    )
    assert result.ret == 4
    assert no_internal_error(result)
    result.assert_outcomes(passed=2, failed=1)
    result.stderr.fnmatch_lines(["ERROR: the measuring stopped: ImportError: no module named scipy (conftest.py:*)"])
    recorded = project.baseline.read_text()
    assert "::test_a" in recorded
    assert "::test_b" not in recorded
    report = json.loads((project.path / "report.json").read_text())
    assert (report["summary"], report["complete"]) == ({"broken": 1, "measured": 1}, False)
    assert (project.path / "junit.xml").read_text().count("<testcase") == 3


def test_a_leak_check_that_stops(project):
    """A test that was to be checked and was not is no green one."""
    project.pytester.makepyfile(TWO)
    project.pytester.makeconftest(
        """
        from pytest_perfguard.engine.runner import leak_runner

        def stops(*_):
            raise MemoryError

        leak_runner.LeakRunner._measure = stops
        """
    )
    result, report = project.report("--perf", "--perf-leaks", "--perf-metrics=time")
    assert result.ret == 4
    assert no_internal_error(result)
    assert report["summary"] == {"broken": 2}


@pytest.mark.parametrize("name", [f"{'x' * 300}/report.json", "file/report.json", "folder.json"])
def test_a_report_that_cannot_be_written_there(project, name):
    """Refused before anything is measured, with the value and the reason."""
    project.pytester.makepyfile(TWO)
    (project.path / "file").write_text("")
    (project.path / "folder.json").mkdir()
    result = project.run("--perf", f"--perf-report={name}")
    assert result.ret == 4
    assert no_internal_error(result)
    assert f"--perf-report={name}: " in result.stderr.str()
    assert "name another" in result.stderr.str() or "name a file in it" in result.stderr.str()


def test_a_folder_that_may_not_be_entered(project):
    """As another user than root, for whom there is no such folder."""
    project.pytester.makepyfile(TWO)
    (project.path / "conftest.py").write_text(
        "import os, pathlib\n"
        "def stat(self, *a, original=pathlib.Path.stat, **k):\n"
        "    if 'locked' in self.parts: raise PermissionError(13, 'Permission denied', str(self))\n"
        "    return original(self, *a, **k)\n"
        "pathlib.Path.stat = stat\n"
        "def pytest_configure(config): pass\n"
    )
    result = project.run("--perf", "--perf-report=locked/report.json")
    assert result.ret == 4
    assert no_internal_error(result)
    result.stderr.fnmatch_lines(["*--perf-report=locked/report.json: *Permission denied*"])


def test_a_report_that_fails_costs_no_other(project):
    """Each by itself, and the baseline before them."""
    project.pytester.makepyfile(TWO)
    project.pytester.makeconftest(
        """
        from pytest_perfguard.engine.report import markdown

        def fails(*_):
            raise UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed")

        markdown.markdown_report = fails
        """
    )
    result = project.run("--perf-baseline", "--perf-report=a.md", "--perf-report=b.json")
    assert result.ret == 4
    assert no_internal_error(result)
    assert "the report a.md could not be written: UnicodeEncodeError" in result.stderr.str()
    assert json.loads((project.path / "b.json").read_text())["complete"]
    assert project.baseline.exists()


def test_a_hook_of_the_project_that_fails_costs_no_number(project):
    """`pytest_benchmark_update_json` of a conftest, after minutes of measuring."""
    project.pytester.makepyfile("def test_a(benchmark): benchmark(sum, range(1000))")
    project.pytester.makeconftest("def pytest_benchmark_update_json(output_json): raise ValueError('mine')")
    result = project.run("--perf-baseline", "--benchmark-json=b.json")
    assert result.ret == 4
    assert "ValueError: mine (conftest.py:1)" in result.stderr.str()
    assert "::test_a" in project.baseline.read_text()


def test_a_long_expression_on_the_command_line(project):
    """No path can be that long: it is asked whether it is one."""
    project.pytester.makepyfile(TWO)
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "one", "--allow-empty")):
        project.pytester.run("git", "-c", "user.name=a", "-c", "user.email=a@b", *command)
    (project.path / "new.py").write_text("x = 1")
    expression = " or ".join(["test_b"] * 60)
    result = project.run("--perf-against=HEAD", "--perf-budget=1ms", "--perf-metrics=time", "-k", expression)
    assert no_internal_error(result)
    assert last_perf_line(result).startswith("perf: 1 ")
