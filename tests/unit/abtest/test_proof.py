"""An arm that runs the other arm's code is found out, by name."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES

import pytest

from pytest_perfguard.abtest.places import Places
from pytest_perfguard.abtest.proof import Proof, project_roots, tree_modules
from pytest_perfguard.errors import WrongCode

SITE = "/venv/lib/python3.11/site-packages"


@pytest.fixture
def places(repository):
    repository.commit({"src/pkg/__init__.py": "", "src/pkg/core.py": "x = 1", "setup.py": "", "tests/test_a.py": ""})
    return Places(repository.path, repository.path / ".git" / "perfguard" / "x")


@pytest.fixture
def proof(places):
    return Proof(places, [places.head / "src"])


def core(tree):
    return {"pkg.core": f"{tree}/src/pkg/core.py", "json": "/usr/lib/python3.11/json/__init__.py"}


def test_each_arm_in_its_own_tree_is_fine(places, proof):
    proof.check(core(places.base), core(places.head), collected=True)


@pytest.mark.parametrize("kind", [{}, {"built": True}, {"built": True, "apart": True}])
def test_a_base_that_imported_this_tree_is_refused_however_it_was_made(places, kind):
    proof = Proof(places, [places.head / "src"], **kind)
    with pytest.raises(WrongCode, match=r"the base imported pkg.core from .*core.py: that is this tree's.*perf_base_"):
        proof.check(core(places.head), core(places.head))


def test_a_base_that_imported_the_installed_copy_is_refused(places, proof):
    installed = {"pkg.core": f"{SITE}/pkg/core.py"}
    with pytest.raises(WrongCode, match=r"the base imported pkg.core .*the installed copy"):
        proof.check(installed, {})
    Proof(places, [places.head / "src"], built=True, apart=True).check(installed, {})


def test_a_head_that_imported_the_revision_is_refused(places, proof):
    with pytest.raises(WrongCode, match=r"the head imported pkg.core .*pip install"):
        proof.check(core(places.base), core(places.base))


@pytest.mark.parametrize("text", ["x = 1", "x = 2"])
def test_an_installed_head_must_be_this_tree(places, proof, tmp_path, text):
    copy = tmp_path / "site-packages" / "pkg" / "core.py"
    copy.parent.mkdir(parents=True)
    copy.write_text(text)
    if text == "x = 1":
        proof.check(core(places.base), {"pkg.core": str(copy)})
        return
    with pytest.raises(WrongCode, match="that installed copy is not what this tree has"):
        proof.check(core(places.base), {"pkg.core": str(copy)})


def test_a_compiled_module_must_be_built_for_the_base_as_well(places, proof):
    fast = {"pkg.fast": f"{places.head}/src/pkg/fast{EXTENSION_SUFFIXES[0]}"}
    with pytest.raises(WrongCode, match=r"pkg.fast .*compiled.*perf_base_command"):
        proof.check(core(places.base), core(places.head) | fast, collected=True)
    proof.check(core(places.base) | {"pkg.fast": f"{places.base}/src/pkg/fast.so"}, fast, collected=True)
    Proof(places, [places.head / "src"], built=True).check({}, fast, collected=True)


def test_a_strangers_compiled_module_is_no_business_of_ours(proof):
    proof.check({}, {"numpy.core._x": f"{SITE}/numpy/core/_x.so"}, collected=True)


def test_modules_are_named_as_they_are_imported(repository):
    repository.commit(
        {"src/pkg/__init__.py": "", "src/pkg/core.py": "", "src/one.py": "", "other.py": "", "setup.py": ""}
    )
    assert dict(tree_modules(repository.path, [repository.path / "src"])) == {
        "pkg": repository.path / "src/pkg/__init__.py",
        "pkg.core": repository.path / "src/pkg/core.py",
        "one": repository.path / "src/one.py",
    }
    assert set(dict(tree_modules(repository.path, [repository.path]))) >= {"other"}
    assert "setup" not in dict(tree_modules(repository.path, [repository.path]))


def test_a_project_in_a_subfolder_has_its_own_root(repository):
    repository.commit({"packages/a/src/a.py": "", "packages/a/pyproject": ""})
    top = repository.path
    assert project_roots(top, top / "packages/a") == [top / "packages/a/src", top]
    assert project_roots(top, top) == [top]
