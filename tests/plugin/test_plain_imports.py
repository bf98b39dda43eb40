"""Importing without pytest's import hook."""

from __future__ import annotations

import sys

import pytest

from pytest_perfguard.plugin.plain_imports import plain_imports


def hooks_of_pytest():
    return [finder for finder in sys.meta_path if type(finder).__module__ == "_pytest.assertion.rewrite"]


def test_only_the_hook_of_pytest_is_left_out():
    before = list(sys.meta_path)
    assert hooks_of_pytest()
    with plain_imports():
        assert not hooks_of_pytest()
        assert [finder for finder in before if finder not in sys.meta_path] == [
            finder for finder in before if type(finder).__module__ == "_pytest.assertion.rewrite"
        ]
    assert sys.meta_path == before


def test_the_hook_is_back_after_an_error():
    before = list(sys.meta_path)
    with pytest.raises(ImportError), plain_imports():
        raise ImportError
    assert sys.meta_path == before
