"""How both arms are started, over a real repository; no process measures here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.engine.runner.base_tree import BaseBuild, BaseTests, RunPaths, prepare_arms
from pytest_perfguard.engine.runner.process import Launch
from pytest_perfguard.engine.runner.revision import find_revision
from pytest_perfguard.plugin.schedule import PYTEST_PROGRAM

TREE = BaseBuild()
SITE = "/venv/lib/python3.11/site-packages"


@pytest.fixture
def arms(repository):
    """Open the two arms of a repository whose library and test have changed since HEAD."""
    repository.commit({"lib.py": "old", "tests/test_lib.py": "old"})
    repository.write({"lib.py": "new", "tests/test_lib.py": "new"})
    top = repository.path

    def start(build=TREE, *, environment=None, arguments=("tests",), path=("/lib", SITE), settings=None, flags=()):
        suite = RunPaths(top, [top / "tests/test_lib.py"], settings)
        head = Launch(arguments, top, PYTEST_PROGRAM, path=path, environment=environment or {}, flags=flags)
        return prepare_arms(find_revision(top, "HEAD"), head, suite, build)

    return start


def test_the_base_has_the_old_library_and_the_new_tests(arms, repository):
    with arms() as both:
        folder = both.base.folder
        assert (folder / "lib.py").read_text() == "old"
        assert (folder / "tests/test_lib.py").read_text() == "new"
        assert not both.only_tests_differ
        assert (both.head.folder, both.head.arm, both.base.arm) == (repository.path, "head", "base")
    assert not folder.exists()


def test_the_base_imports_from_its_own_tree_before_what_is_installed(arms, repository):
    with arms(path=(str(repository.path), "/lib", SITE)) as both:
        assert both.base.path == [f"{both.base.folder}", "/lib", SITE] or both.base.path[0].startswith(
            str(both.base.folder).rstrip(".")
        )
        assert both.head.path == (str(repository.path), "/lib", SITE)
    with arms() as both:
        assert [Path(entry) for entry in both.base.path] == [Path("/lib"), both.base.folder, Path(SITE)]


def test_arguments_and_environment_move(arms, repository):
    top = repository.path
    with arms(arguments=[f"{top}/tests", "-q"], environment={"PYTHONPATH": f"{top}/src:/x", "A": "b"}) as both:
        assert both.base.arguments == [f"{both.base.folder}/tests", "-q"]
        places = [Path(entry) for entry in both.base.environment["PYTHONPATH"].split(":")]
        assert places == [both.base.folder / "src", Path("/x"), both.base.folder]
        assert both.base.environment["A"] == "b"
        assert both.base.map_path(f"{top}/tests/test_lib.py") == f"{both.base.folder}/tests/test_lib.py"


def test_bytecode_that_may_not_be_written_in_place_is_kept_elsewhere_for_both(arms):
    with arms(environment={"PYTHONDONTWRITEBYTECODE": "1"}) as both:
        assert list(both.head.environment) == ["PYTHONPYCACHEPREFIX"]
        assert both.base.environment["PYTHONPYCACHEPREFIX"] == both.head.environment["PYTHONPYCACHEPREFIX"]
    with arms(environment={}) as both:
        assert (both.head.environment, both.head.flags) == ({}, ())


def test_flags_of_the_interpreter_reach_both_and_b_becomes_a_folder_for_both(arms):
    with arms(environment={}, flags=("-B", "-O", "-P")) as both:
        folder = both.head.environment["PYTHONPYCACHEPREFIX"]
        assert both.head.flags == both.base.flags == ("-O", "-P", "-X", f"pycache_prefix={folder}")
    with arms(flags=("-P", "-O"), build=BaseBuild(python=sys.executable)) as both:
        assert (both.head.flags, both.base.flags) == (("-P", "-O"), ("-O",))  # the other one may be too old for -P


def test_a_command_installs_the_base_into_its_target(arms):
    program = "import pathlib, sys; pathlib.Path(sys.argv[1], 'lib.py').write_text(pathlib.Path('lib.py').read_text())"
    with arms(BaseBuild(command=f'{{python}} -c "{program}" {{target}}')) as both:
        target = Path(both.base.path[0])
        assert (target / "lib.py").read_text() == "old"
    assert not target.exists()


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("{python} -c 'print(42); exit(3)'", r"exited with status 3:\n42"),
        ("no-such-program {target}", "no-such-program"),
    ],
)
def test_a_command_that_fails_is_told_with_its_last_lines(arms, command, problem):
    with pytest.raises(RevisionError, match=problem), arms(BaseBuild(command=command)):
        pytest.fail("it was built")


def test_programs_that_a_test_starts_find_the_base(arms):
    """A command-line tool that is measured as a whole runs in a process of its own."""
    program = "import lib_of_the_tree as lib; print(lib.__file__)"
    with arms() as both:
        (both.base.folder / "lib_of_the_tree.py").write_text("")
        environment = {**os.environ, **both.base.environment}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == str(both.base.folder / "lib_of_the_tree.py")


def test_the_base_is_built_as_the_revision_says(arms, repository):
    """Before the head's configuration comes, which may be that of the build, too."""
    repository.commit({"pytest.ini": "old"})
    repository.write({"pytest.ini": "new"})
    program = (
        "import pathlib, sys; pathlib.Path(sys.argv[1], 'built').write_text(pathlib.Path('pytest.ini').read_text())"
    )
    build = BaseBuild(command=f'{{python}} -c "{program}" {{target}}')
    with arms(build, settings=repository.path / "pytest.ini") as both:
        assert Path(both.base.path[0], "built").read_text() == "old"
        assert (both.base.folder / "pytest.ini").read_text() == "new"


@pytest.mark.parametrize(("given", "used"), [(sys.executable, sys.executable), ("env/bin/python", None), ("py", "py")])
def test_another_environment_has_its_own_import_path(arms, repository, given, used):
    with arms(BaseBuild(python=given)) as both:
        assert both.base.python == (used or str(repository.path / given))
        assert both.base.path is None
        assert "PYTHONPATH" not in both.base.environment


OLD = """
class TestOld(Inherited):
    def test_method(self): pass
    def test_case(self, n): pass
def test_function(): pass
test_made = make(1)
"""
NEW = (
    OLD.replace("def test_case", "def test_added(self): pass\n    def test_case")
    + "\ndef test_new(): pass\nclass TestNew: pass\n"
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test_a.py::test_function", True),
        ("test_a.py::test_new", False),
        ("test_a.py::test_made", True),
        ("test_a.py::TestOld::test_method", True),
        ("test_a.py::TestOld::test_case[x-y[0]::z]", True),
        ("test_a.py::TestOld::test_inherited", True),
        ("test_a.py::TestOld::test_added", False),
        ("test_a.py::TestNew::test_method", False),
        ("test_b.py::test_function", False),
    ],
)
def test_a_test_is_there_if_its_names_are(repository, name, expected):
    repository.commit({"tests/test_a.py": OLD})
    repository.write({"tests/test_a.py": NEW, "tests/test_b.py": NEW})
    tests = BaseTests(find_revision(repository.path, "HEAD"))
    assert tests.has(f"tests/{name}", str(repository.path / "tests" / name.partition("::")[0])) is expected


def test_a_file_beside_the_repository_is_the_same_for_both(repository, tmp_path):
    repository.commit({"a": "1"})
    assert BaseTests(find_revision(repository.path, "HEAD")).has("test_a.py::test_x", str(tmp_path / "test_a.py"))
