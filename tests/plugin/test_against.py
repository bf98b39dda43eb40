"""`--perf-against=REV`: this tree and a revision side by side, and `--perf-compare` that confirms by the same means."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.plugin.conftest import last_perf_line
from tests.repository import VERSION_FILE, Repository

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

FAST = "def work():\n    return sum(range(10_000))\n"
SLOW = "def work():\n    return [sum(range(10_000)) for _ in range(3)]\n"
TEST = """
import pytest
import lib

@pytest.mark.perf
def test_work():
    lib.work()
"""
#: One metric: half the measuring, and all that these tests are about.
INI = "[pytest]\npythonpath = {root}\nperf_metrics = time\nasyncio_default_fixture_loop_scope = function\n"


class Versioned(Repository):
    """A project in a git repository."""

    def __init__(self, project):
        super().__init__(project.path)
        self.project = project
        self.write(
            {".gitignore": "__pycache__\n*.json.lock\nreport.json\n.pytest_cache\nrunpytest-*\nstdout\nstderr\n"}
        )

    def report(self, *options):
        result, report = self.project.report("--perf-budget=20s", *options)
        assert self.git("worktree", "list", "--porcelain").count("worktree ") == 1
        return result, {test["nodeid"]: test for test in report["tests"]}

    def refused(self, *options):
        result = self.project.run(*options)
        assert result.ret == 4
        return result.stderr.str()


@pytest.fixture
def versioned(project):
    return Versioned(project)


#: Other tests of this file have their library in src, or their tests beside it.
LAYOUTS = {
    "flat": (".", "lib.py", "tests/test_lib.py"),
    "tests inside": (".", "lib/__init__.py", "lib/tests/test_lib.py"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_slower_code_is_red_in_every_layout(versioned, layout):
    root, library, test = LAYOUTS[layout]
    files = {library: FAST, test: TEST, "pytest.ini": INI.format(root=root)}
    if layout == "tests inside":
        files["lib/tests/__init__.py"] = ""
    versioned.commit(files)
    versioned.write({library: SLOW})
    result, tests = versioned.report("--perf-against=main")
    assert result.ret == 1
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "perfguard: this tree against main (????????????), 4 to 30 pairs of processes per test, threshold 3.0%",
            "Slower than main (????????????).",
            "  time  * per call, *x slower (interval *x to *x)  regression",
            "  measured   * fresh pairs of processes, * rounds of * calls a side, *",
            f"  measure it again, alone:       pytest --perf-against=main {test}::test_work",
            "*perfguard: measured side by side with main (*",
        ]
    )
    told = tests[f"{test}::test_work"]
    assert 2 < told["metrics"][0]["ratio"] < 5
    assert told["paired"]["pairs"] >= 4
    assert told["paired"]["why"] == ""


def test_unchanged_code_is_not_red(versioned, distribution):
    versioned.commit({"lib.py": FAST, "test_lib.py": TEST, "pytest.ini": INI.format(root=".")})
    versioned.write({"lib.py": FAST + "# a remark\n"})
    result, tests = versioned.report("--perf-against=main", "--perf-threshold=100%", *distribution)
    assert result.ret == 0
    assert "both arms share" not in result.stdout.str()
    assert tests["test_lib.py::test_work"]["verdict"] == "unchanged"
    assert last_perf_line(result).startswith("perf: 1 unchanged (1 test, ")


@pytest.mark.thorough
def test_where_nothing_can_be_pinned_the_header_and_a_note_say_what_that_costs(versioned):
    conftest = "from pytest_perfguard.core.originals import os\nif hasattr(os, 'sched_setaffinity'):\n    del os.sched_setaffinity\n"
    versioned.commit({"lib.py": FAST, "test_lib.py": TEST, "conftest.py": conftest, "pytest.ini": INI.format(root=".")})
    versioned.write({"lib.py": SLOW})
    result, tests = versioned.report("--perf-against=main")
    told = tests["test_lib.py::test_work"]
    assert told["verdict"] == "regression"
    assert told["paired"]["pinned"] is False
    result.stdout.fnmatch_lines(
        [
            "perfguard: processes cannot be pinned to a CPU here, so only changes of more than 10% can be detected",
            "  base       main (*), in turn, not kept on one CPU",
            "  note       not pinned to one CPU, because this system does not support it: only changes of more than 10% can be detected",
        ]
    )


@pytest.mark.thorough
@pytest.mark.parametrize("place", ["src", "site-packages"])
def test_an_installed_head_is_measured_against_the_tree_of_the_base(versioned, monkeypatch, tmp_path_factory, place):
    """A path entry is what an editable install leaves; a copy is what a plain one does."""
    versioned.commit({"src/lib.py": FAST, "tests/test_lib.py": TEST, "pytest.ini": INI.format(root="")})
    versioned.write({"src/lib.py": SLOW})
    if place == "src":
        folder = versioned.path / "src"
    else:
        folder = tmp_path_factory.mktemp("venv") / place
        shutil.copytree(versioned.path / "src", folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    result, tests = versioned.report("--perf-against=HEAD")
    assert result.ret == 1
    assert tests["tests/test_lib.py::test_work"]["verdict"] == "regression"


def test_a_stale_installed_copy_is_refused(versioned, monkeypatch, tmp_path_factory):
    versioned.commit({"src/lib.py": FAST, "tests/test_lib.py": TEST, "pytest.ini": INI.format(root="")})
    folder = tmp_path_factory.mktemp("venv") / "site-packages"
    shutil.copytree(versioned.path / "src", folder)
    versioned.write({"src/lib.py": SLOW})
    monkeypatch.setenv("PYTHONPATH", str(folder))
    text = versioned.refused("--perf-against=HEAD")
    assert "the head imported lib from" in text
    assert "that is not what this tree has" in text


@pytest.mark.thorough
def test_a_change_of_tests_alone_is_remarked(versioned):
    versioned.commit({"lib.py": FAST, "tests/test_lib.py": TEST, "pytest.ini": INI.format(root=".")})
    versioned.write({"tests/test_lib.py": TEST + "# a remark\n"})
    result, _tests = versioned.report("--perf-against=main", "--perf-threshold=100%", "--perf-report=x.md")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["perf: all Python files that differ from main (*) are tests, which both arms share"])
    assert "\n> all Python files that differ from main" in (versioned.path / "x.md").read_text(encoding="utf-8")


def test_a_base_that_would_run_this_tree_is_refused(versioned):
    """As a finder does that a build tool puts before all others."""
    conftest = f"import sys\nsys.path.insert(0, {str(versioned.path)!r})\n"
    versioned.commit({"lib.py": FAST, "tests/test_lib.py": TEST, "pytest.ini": INI.format(root="")})
    versioned.write({"lib.py": SLOW, "tests/conftest.py": conftest})
    text = versioned.refused("--perf-against=HEAD")
    assert "the base imported lib from" in text
    assert "this tree's, and not the revision's; set perf_base_command" in text


@pytest.mark.thorough
def test_a_base_can_be_built(versioned):
    """Here the library is generated, and no checkout holds it."""
    build = "import sys, shutil\nshutil.copy('lib.txt', sys.argv[1] + '/lib.py')\n"
    ini = INI.format(root="made") + "perf_base_command = {python} build.py {target}\n"
    versioned.commit(
        {"lib.txt": FAST, "build.py": build, "tests/test_lib.py": TEST, "pytest.ini": ini, ".gitignore": "made\n"}
    )
    versioned.write({"lib.txt": SLOW, "made/lib.py": SLOW})
    result, tests = versioned.report("--perf-against=HEAD")
    assert result.ret == 1
    assert tests["tests/test_lib.py::test_work"]["verdict"] == "regression"


@pytest.mark.thorough
def test_another_interpreter_can_hold_the_base(versioned):
    versioned.commit({"lib.py": FAST, "test_lib.py": TEST, "pytest.ini": INI.format(root=".")})
    versioned.write({"lib.py": SLOW})
    _result, tests = versioned.report("--perf-against=HEAD", f"--perf-base-python={sys.executable}")
    assert tests["test_lib.py::test_work"]["verdict"] == "regression"


def test_tests_that_the_base_cannot_run_say_why(versioned):
    versioned.commit({"lib.py": "def old():\n    return 1\n", "pytest.ini": INI.format(root=".")})
    versioned.write({"lib.py": FAST + "def old():\n    return 2\n"})
    versioned.write({"test_new.py": TEST.replace("import lib", "from lib import work").replace("lib.work", "work")})
    versioned.write({"test_changed.py": TEST.replace("lib.work()", "assert lib.old() == 2")})
    result, tests = versioned.report("--perf-against=HEAD")
    assert result.ret == 5, "nothing was judged"
    assert tests["test_new.py::test_work"]["verdict"] == "new"
    assert "cannot import name 'work'" in tests["test_new.py::test_work"]["reason"]
    assert tests["test_changed.py::test_work"]["verdict"] == "incomparable"
    assert "fails with HEAD" in tests["test_changed.py::test_work"]["reason"]
    result.stdout.fnmatch_lines(
        [
            "incomparable: test_changed.py::test_work: fails with HEAD (*): assert 1 == 2",
            "new: test_new.py::test_work: not available with HEAD (*): ImportError: cannot import name 'work' from 'lib' (*",
        ]
    )


@pytest.mark.thorough
def test_an_absolute_budget_needs_no_base(versioned):
    versioned.commit({"lib.py": FAST, "pytest.ini": INI.format(root=".")})
    versioned.write({"lib.py": FAST + "def new():\n    return work()\n"})
    versioned.write({"test_new.py": TEST.replace("lib.work()", "lib.new()").replace(".perf", '.perf(max_time="1ns")')})
    result, tests = versioned.report("--perf-against=HEAD")
    assert result.ret == 1
    assert tests["test_new.py::test_work"]["verdict"] == "over-limit"


@pytest.mark.thorough
def test_a_program_that_a_test_starts_is_the_bases_own(versioned):
    """The installed copy is the head's; the base's process hands its own tree on."""
    program = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import lib; lib.work()'], check=True)"
    test = f"import pytest\n@pytest.mark.perf\ndef test_work():\n    {program.replace(chr(10), chr(10) + '    ')}\n"
    slow = FAST.replace("return", "import time; time.sleep(0.3); return")
    versioned.commit({"lib.py": FAST, "tests/test_lib.py": test, "pytest.ini": INI.format(root="")})
    versioned.write({"lib.py": slow})
    result, tests = versioned.report("--perf-against=HEAD", "-p", "no:cacheprovider")
    assert tests["tests/test_lib.py::test_work"]["verdict"] == "regression"
    assert result.ret == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--perf-against=nothing"], "no revision 'nothing'"),
        (["--perf-against=HEAD"], "is equal to this tree; name an older revision"),
        (["--perf-against="], "--perf-against needs a revision, such as --perf-against=main"),
        (["--perf-against=main", "--perf-compare"], "--perf-compare and --perf-against exclude each other"),
        (["--perf-against=main", "--perf-alpha=0%"], "--perf-alpha: '0%' is not a chance of a false alarm"),
    ],
)
def test_a_revision_that_is_of_no_use_is_refused_before_anything_runs(versioned, options, message):
    versioned.commit({"lib.py": FAST, "test_lib.py": TEST, "pytest.ini": INI.format(root=".")})
    assert message in versioned.project.refusal(*options)


def test_outside_git_there_is_nothing_to_measure_against(project, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.path.parent))
    project.pytester.makepyfile(TEST)
    result = project.run("--perf-against=main")
    assert result.ret == 4
    assert (
        "--perf-against needs git, and this folder is not in a git repository; without git: --perf-baseline, then"
        in result.stderr.str()
    )


@pytest.mark.thorough
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_leaves_no_worktree_for_long(versioned, how):
    versioned.commit({"lib.py": FAST, "test_lib.py": TEST, "pytest.ini": INI.format(root=".")})
    versioned.write({"lib.py": SLOW})
    command = [sys.executable, "-m", "pytest", "--perf-against=main", "-p", "no:cacheprovider"]
    folder = versioned.path / ".git/perfguard"
    with subprocess.Popen(command, cwd=versioned.path, stdout=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 60
        while not list(folder.glob("*/lib.py")) and time.monotonic() < deadline:
            time.sleep(0.05)
        run.send_signal(how)
        run.wait(60)
    assert bool(list(folder.glob("*"))) == (how == signal.SIGKILL)
    versioned.report("--perf-against=main")
    assert list(folder.glob("*")) == []


#: The baseline of `suspected`, with COMMIT for the commit: recorded once, since that takes seconds.
_suspect_baseline: list[str] = []


@pytest.fixture
def suspected(versioned):
    """A committed baseline that says that the code was thirty times as fast, which it never was on any machine."""
    commit = versioned.commit({"lib.py": FAST, "test_lib.py": TEST, "pytest.ini": INI.format(root=".")})[:12]
    baseline = versioned.project.baseline
    if not _suspect_baseline:
        assert versioned.project.run("--perf-baseline").ret == 0
        versioned.project.rewrite_baseline(30)
        assert commit in baseline.read_text()
        _suspect_baseline.append(baseline.read_text().replace(commit, "COMMIT"))
    baseline.write_text(_suspect_baseline[0].replace("COMMIT", commit))
    versioned.commit()
    return versioned


def test_a_suspect_of_the_baseline_file_is_confirmed_beside_its_commit(suspected):
    result, tests = suspected.report("--perf-compare", "--perf-threshold=50%")
    assert result.ret == 0
    told = tests["test_lib.py::test_work"]
    assert told["verdict"] == "unchanged"
    assert told["paired"]["why"].startswith("the baseline file did not clear it: time ")
    result.stdout.fnmatch_lines(
        ["paired: test_lib.py::test_work: unchanged beside * (the baseline file did not clear it*)"]
    )


def test_a_suspect_that_is_slower_is_red_by_the_pair(suspected):
    suspected.write({"lib.py": SLOW})
    result, tests = suspected.report("--perf-compare", "--perf-threshold=50%")
    assert result.ret == 1
    assert tests["test_lib.py::test_work"]["verdict"] == "regression"
    assert 2 < tests["test_lib.py::test_work"]["metrics"][0]["ratio"] < 5
    result.stdout.fnmatch_lines(["  because    the baseline file did not clear it: time *"])


@pytest.mark.thorough
def test_a_pair_that_cannot_be_measured_acquits_nobody(suspected):
    """The test needs what the baseline's commit does not have."""
    suspected.write({"lib.py": SLOW + "def new():\n    return 1\n"})
    suspected.write({"helper.py": "from lib import new\n", "conftest.py": "import helper\n"})
    result, tests = suspected.report("--perf-compare", "--perf-threshold=50%")
    assert result.ret == 1
    told = tests["test_lib.py::test_work"]
    assert (told["verdict"], told["paired"]) == ("regression", None)
    result.stdout.fnmatch_lines(["*note*settled nothing: *"])


def test_a_base_that_cannot_be_checked_out_leaves_the_screen(suspected):
    suspected.write({"lib.py": SLOW})
    (suspected.path / ".git/perfguard").write_text("in the way")
    result, tests = suspected.report("--perf-compare", "--perf-threshold=50%", "--perf-budget=3s")
    assert tests["test_lib.py::test_work"]["paired"] is None
    assert tests["test_lib.py::test_work"]["verdict"] in ("regression", "inconclusive")
    result.stdout.fnmatch_lines(["perf: not measured side by side with *: cannot check out *"])


@pytest.mark.parametrize("why", ["off", "uncommitted"])
def test_without_a_pair_the_baseline_file_has_the_last_word(suspected, why):
    options = ["--perf-confirm=off"] if why == "off" else []
    if why == "uncommitted":
        text = suspected.project.baseline.read_text()
        commit = next(iter(json.loads(text)["classes"].values()))["tests"]["test_lib.py::test_work"]["commit"]
        suspected.project.baseline.write_text(text.replace(commit, "0123456789ab+"))
    result, tests = suspected.report("--perf-compare", "--perf-threshold=50%", *options)
    assert result.ret == 1
    assert tests["test_lib.py::test_work"]["verdict"] == "regression"
    assert tests["test_lib.py::test_work"]["paired"] is None


@pytest.mark.thorough
def test_a_baseline_from_elsewhere_is_worth_a_pair(suspected):
    text = suspected.project.baseline.read_text()
    name = next(iter(json.loads(text)["classes"]))
    suspected.project.baseline.write_text(text.replace(name, "another-machine"))
    result, tests = suspected.report("--perf-compare", "--perf-threshold=50%")
    assert result.ret == 0
    assert tests["test_lib.py::test_work"]["verdict"] == "unchanged"
    assert tests["test_lib.py::test_work"]["paired"]["why"] == "recorded on another machine class or interpreter"
    result, tests = suspected.report("--perf-compare", "--perf-confirm=off")
    assert result.ret == 5
    assert tests["test_lib.py::test_work"]["verdict"] == "incomparable"


HOLDS = """
import fcntl, socket
import pytest
import lib

@pytest.fixture(scope="session")
def server():
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", {port}))
        held.listen()
        yield

@pytest.fixture(scope="session")
def locked():
    with open("{lock}", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

@pytest.mark.perf
def test_work({fixture}):
    lib.work()
"""


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("fixture", "told"),
    [("server", "Address already in use"), ("locked", "one arm was not ready after 1 s more than the ")],
)
def test_what_exists_once_is_measured_with_one_arm_alive(versioned, tmp_path_factory, fixture, told):
    """A port that both arms bind, and a lock for which the second one waits without end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lock = tmp_path_factory.mktemp("held") / "lock"
    test = HOLDS.replace("{port}", str(port)).replace("{lock}", str(lock)).replace("{fixture}", fixture)
    short = (
        "import pytest_perfguard.engine.runner.pair_workers as module\n"
        "module.MIN_PATIENCE_SECONDS = 1.0\nmodule.PATIENCE_FACTOR = 0.0\n"
    )
    versioned.commit(
        {"pytest.ini": INI.format(root="."), "conftest.py": short, "lib.py": FAST, "tests/test_lib.py": test}
    )
    versioned.write({"lib.py": SLOW})
    result, tests = versioned.report("--perf-against=HEAD")
    assert result.ret == 1
    (found,) = tests.values()
    assert found["verdict"] == "regression"
    (note,) = [note for note in found["notes"] if "one arm alive at a time" in note]
    assert told in note
    assert not found["paired"]["pinned"]


@pytest.mark.parametrize("mode", ["--perf-baseline", "--perf-compare", "--perf-against=HEAD"])
def test_a_repository_that_git_refuses_is_an_error_before_anything_runs(suspected, monkeypatch, mode):
    """As in containers and on mounted volumes; an empty commit in the baseline could never be measured beside."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    before = suspected.project.baseline.read_bytes()
    told = suspected.project.refusal(mode)
    assert "detected dubious ownership in repository" in told
    assert "git config --global --add safe.directory" in told
    assert "not in a git repository" not in told
    assert suspected.project.baseline.read_bytes() == before


def test_a_look_needs_no_repository(suspected, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert suspected.project.run("--perf", "--perf-report=look.json").ret == 0
    assert suspected.project.run("--perf-compare", "-o", "perf_confirm=off", "--collect-only").ret == 0


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["--perf-baseline", "--perf-compare"])
def test_where_git_is_not_installed_the_top_of_the_run_says_what_that_costs(suspected, monkeypatch, mode):
    monkeypatch.setenv("PATH", "")
    result = suspected.project.run(mode)
    result.stdout.fnmatch_lines(["perfguard: git is not installed: *"])
    assert result.ret in (0, 1)


def test_what_a_run_left_is_no_change(versioned):
    versioned.write({".gitignore": "stdout\nstderr\nrunpytest-*\n"})
    versioned.commit({"lib.py": FAST, "test_lib.py": TEST, "pytest.ini": INI.format(root=".")})
    assert versioned.project.run("-p", "cacheprovider").ret == 0
    assert versioned.git("status", "--porcelain", "--ignored")
    assert "is equal to this tree" in versioned.refused("--perf-against=HEAD")


PACKAGE = "from lib._version import __version__\n" + FAST


@pytest.fixture
def generated(versioned):
    """A package that imports a module which its build writes and git ignores."""
    versioned.write({".gitignore": (versioned.path / ".gitignore").read_text() + "_version.py\n_tables.py\n"})
    versioned.commit({"src/lib/__init__.py": PACKAGE, "tests/test_lib.py": TEST, "pytest.ini": INI.format(root="src")})
    versioned.write({"src/lib/_version.py": VERSION_FILE})
    return versioned


@pytest.mark.thorough
def test_a_version_file_that_the_build_wrote_is_copied_to_the_base(generated):
    generated.write({"src/lib/__init__.py": PACKAGE.replace(FAST, SLOW)})
    result, tests = generated.report("--perf-against=HEAD", "--perf-strict")
    assert tests["tests/test_lib.py::test_work"]["verdict"] == "regression"
    result.stdout.fnmatch_lines(
        [
            "perf: copied from this tree to HEAD (*), because git ignores them and the build writes them: src/lib/_version.py"
        ]
    )


def test_a_generated_module_that_holds_code_is_not_copied_and_its_tests_are_incomparable(generated):
    generated.commit({"src/lib/__init__.py": "from lib._tables import work\n"})
    generated.write({"src/lib/_tables.py": FAST, "src/lib/__init__.py": "from lib._tables import work\n# changed\n"})
    result, tests = generated.report("--perf-against=HEAD", "--perf-strict")
    assert result.ret == 1
    told = tests["tests/test_lib.py::test_work"]
    assert told["verdict"] == "incomparable"
    assert "has this test and cannot run it: ModuleNotFoundError: No module named 'lib._tables'" in told["reason"]
    assert "perf_base_command" in told["reason"]
    result.stdout.fnmatch_lines(["FAILED tests/test_lib.py::test_work*"])


@pytest.mark.thorough
@pytest.mark.parametrize("where", ["conftest", "skip", "call"])
def test_wherever_a_base_that_was_not_built_fails_it_is_incomparable(versioned, where):
    generated = "from generated import FACTOR"
    files = {
        "lib.py": FAST, "test_lib.py": TEST, "pytest.ini": INI.format(root="."),
        ".gitignore": (versioned.path / ".gitignore").read_text() + "generated.py\n",
    }  # fmt: skip
    if where == "conftest":
        files["conftest.py"] = generated
    elif where == "skip":
        files["test_lib.py"] = "import pytest\npytest.importorskip('generated')\n" + TEST
    else:
        files["lib.py"] = f"def work():\n    {generated}\n"
    versioned.commit(files)
    versioned.write({"generated.py": "FACTOR = 3\ndef code(): pass\n", "more.py": ""})
    result, tests = versioned.report("--perf-against=HEAD", "--perf-strict")
    assert result.ret == 1
    assert tests["test_lib.py::test_work"]["verdict"] == "incomparable"
    assert "perf_base_command" in tests["test_lib.py::test_work"]["reason"]


@pytest.mark.thorough
def test_new_tests_and_new_parameters_are_new(versioned):
    """Of a module that is there and cannot be imported, because its new tests need something new, the old are incomparable."""
    versioned.commit(
        {
            "lib.py": "CASES = ['a']\n" + FAST,
            "test_lib.py": TEST,
            "test_cases.py": TEST.replace(
                "def test_work()", "@pytest.mark.parametrize('case', lib.CASES)\ndef test_work(case)"
            ),
            "pytest.ini": INI.format(root="."),
        }
    )
    versioned.write({"lib.py": "CASES = ['a', 'b']\nNEW = 1\n" + FAST})
    versioned.write({"test_lib.py": TEST + "from lib import NEW\n@pytest.mark.perf\ndef test_new():\n    lib.work()\n"})
    _result, tests = versioned.report("--perf-against=HEAD", "--perf-threshold=100%")
    assert {name: test["verdict"] for name, test in tests.items()} == {
        "test_lib.py::test_work": "incomparable",
        "test_lib.py::test_new": "new",
        "test_cases.py::test_work[a]": "unchanged",
        "test_cases.py::test_work[b]": "new",
    }


@pytest.mark.thorough
def test_both_arms_measure_what_an_id_means_in_the_run(versioned):
    """Parameters in another order in each process: a pair of different tests would be told as a change."""
    test = (
        "import random\nimport pytest\nimport lib\n"
        "jobs = [lib.small, lib.big]\nrandom.SystemRandom().shuffle(jobs)\n"
        "@pytest.mark.perf\n@pytest.mark.parametrize('job', jobs, ids=['job0', 'job1'])\ndef test_job(job):\n    job()\n"
    )
    library = "def small():\n    sum(range(1_000))\n\ndef big():\n    sum(range(100_000))\n"
    versioned.commit({"lib.py": library, "test_lib.py": test, "pytest.ini": INI.format(root=".")})
    versioned.write({"lib.py": library + "# a remark\n"})
    result, tests = versioned.report("--perf-against=HEAD", "--perf-threshold=100%")
    assert result.ret == 0
    assert [test["verdict"] for test in tests.values()] == ["unchanged", "unchanged"]


@pytest.mark.thorough
def test_the_same_in_a_hooked_suite(versioned):
    """A marker of a hook is one in both arms."""
    hook = "import pytest\ndef pytest_collection_modifyitems(items):\n    for item in items:\n        item.add_marker('perf')\n"
    test = "import lib\ndef test_work():\n    lib.work()\n"
    versioned.commit({"lib.py": FAST, "test_lib.py": test, "conftest.py": hook, "pytest.ini": INI.format(root=".")})
    versioned.write({"lib.py": SLOW})
    result, tests = versioned.report("--perf-against=HEAD", "--perf-strict")
    assert result.ret == 1
    assert tests["test_lib.py::test_work"]["verdict"] == "regression"
