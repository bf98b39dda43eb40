"""Paths, moved from the head's tree to the base's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_perfguard.engine.runner.path_map import PathMap, import_roots, is_in_tree, is_installed_file


@pytest.fixture
def places(tmp_path):
    head = tmp_path / "head"
    base = head / ".git" / "perfguard" / "x"
    for folder in (head / "src" / "pkg", head / "tests", base):
        folder.mkdir(parents=True)
    (head / "tests" / "test_a.py").write_text("")
    (head / "src" / "pkg" / "core.py").write_text("")
    return PathMap(head, base)


def test_what_lies_in_the_tree_moves_and_nothing_else(places, tmp_path):
    head, base = places.head, places.base
    assert places.to_base(f"{head}/src") == f"{base}/src"
    assert places.to_base(str(head)).rstrip("/.") == str(base)
    for other in ("", "/usr/lib", str(tmp_path), f"{head}-2/src", f"{base}/src", f"{head}/.git/hooks"):
        assert places.to_base(other) == other


def test_an_environment_inside_the_tree_stays(places):
    entry = f"{places.head}/.venv/lib/python3.11/site-packages"
    assert places.to_base(entry) == entry


def test_links_are_seen_through(places, tmp_path):
    (tmp_path / "link").symlink_to(places.head)
    assert places.to_base(str(tmp_path / "link" / "src")) == f"{places.base}/src"


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("-v", "-v"),
        ("--tb=short", "--tb=short"),
        ("tests/test_a.py::test_b[x=1]", "tests/test_a.py::test_b[x=1]"),
        ("{head}/tests/test_a.py::test_b[/tmp]", "{base}/tests/test_a.py::test_b[/tmp]"),
        ("--rootdir={head}", "--rootdir={base}/."),
        ("--rootdir=/tmp", "--rootdir=/tmp"),
        ("perf and not slow", "perf and not slow"),
    ],
)
def test_arguments_move_where_they_name_places(places, argument, expected):
    words = {"head": places.head, "base": places.base}
    assert places.argument_to_base(argument.format(**words), places.head) == expected.format(**words)


def test_relative_arguments_from_outside_become_absolute(places, tmp_path):
    assert places.argument_to_base("head/tests", tmp_path) == f"{places.base}/tests"
    assert places.argument_to_base("no-such-place", tmp_path) == "no-such-place"


def test_the_import_path_moves_and_its_roots_come_before_what_is_installed(places):
    path = ["", f"{places.head}/tests", "/usr/lib/python3.11", "/venv/lib/python3.11/site-packages", "/more"]
    assert places.import_path_to_base(path, [places.head / "src"]) == [
        "", f"{places.base}/tests", "/usr/lib/python3.11", f"{places.base}/src", *path[3:]
    ]  # fmt: skip


def test_a_root_that_is_there_already_comes_once(places):
    assert places.import_path_to_base([f"{places.head}/src", "/lib"], [places.head / "src"]) == [
        f"{places.base}/src",
        "/lib",
    ]


def test_packages_are_imported_from_src_if_there_are_any(places, tmp_path):
    assert import_roots(places.head) == [places.head / "src"]
    (tmp_path / "flat" / "src").mkdir(parents=True)
    assert import_roots(tmp_path / "flat") == [tmp_path / "flat"]


def test_the_interpreters_environment_is_installed():
    assert is_installed_file(str(Path(sys.prefix) / "lib" / "x.py")) == (sys.prefix != sys.base_prefix)
    assert is_installed_file("/usr/lib/python3/dist-packages/x.py")
    assert not is_installed_file("/home/me/project/x.py")
    assert not is_in_tree("/home/me/project/.git/perfguard/x/a.py", Path("/home/me/project"))


def test_what_no_path_can_be_is_no_path(places):
    """A long expression, and one with a NUL character: asking the system would raise."""
    for argument in ("test_a or " * 100, "a\0b"):
        assert places.argument_to_base(argument, places.head) == argument
