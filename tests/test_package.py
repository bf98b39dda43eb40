"""The package by itself."""

from __future__ import annotations

import importlib.metadata

import pytest

import pytest_perfguard


def test_without_being_installed_the_version_is_unknown(monkeypatch):
    """A run from the source tree must not end in a traceback after minutes of measuring."""

    def not_installed(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", not_installed)
    assert pytest_perfguard.__version__ == "unknown"


@pytest.mark.parametrize("name", [name for name in pytest_perfguard.__all__ if name != "__version__"])
def test_every_public_name_is_importable(name):
    """From its own home, under the name that it has there."""
    assert getattr(pytest_perfguard, name).__name__ == name


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError, match="has no attribute 'no_such_pool'"):
        pytest_perfguard.no_such_pool  # noqa: B018
