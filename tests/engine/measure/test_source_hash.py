"""The hash of a test's source: changes with the code, and with nothing else."""

from __future__ import annotations

import functools
import importlib.util

import pytest

from pytest_perfguard.engine.measure.source_hash import source_hash


@pytest.fixture
def hash_of(tmp_path):
    """Hash of the function `f` in a module of this text."""

    def load(text, name="f"):
        path = tmp_path / f"module{len(list(tmp_path.iterdir()))}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return source_hash(getattr(module, name))

    return load


def test_other_code_is_another_hash(hash_of):
    assert hash_of("def f():\n    return 1\n") != hash_of("def f():\n    return 2\n")


@pytest.mark.parametrize(
    "same",
    [
        "def f():\n    # a comment\n\n    return 1\n",
        'def f():\n    "docstring"\n    return 1\n',
        "def identity(x):\n    return x\n\n\n@identity\ndef f():\n    return 1\n",
    ],
    ids=["comment", "docstring", "decorator"],
)
def test_what_does_not_run_does_not_count(hash_of, same):
    assert hash_of(same) == hash_of("def f():\n    return 1\n")


def test_a_wrapped_function_is_its_inner_one(hash_of):
    text = "import functools\ndef w(g):\n    @functools.wraps(g)\n    def h(): return g()\n    return h\n@w\ndef f():\n    return 1\n"
    assert hash_of(text) == hash_of("def f():\n    return 1\n")


def test_a_method_has_a_hash(hash_of):
    assert hash_of("class C:\n    def m(self):\n        return 1\nf = C().m\n")


@pytest.mark.parametrize("function", [len, functools.partial(len, ""), eval("lambda: 1")])
def test_no_source_is_no_hash(function):
    assert source_hash(function) == ""
