"""Which tests a revision has of its own."""

from __future__ import annotations

import pytest

from pytest_perfguard.engine.runner.base_tree import BaseTests
from pytest_perfguard.engine.runner.revision import find_revision

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
