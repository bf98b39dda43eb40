"""The package by itself."""

from __future__ import annotations

import importlib.metadata

import pytest_perfguard


def test_without_being_installed_the_version_is_unknown(monkeypatch):
    """A run from the source tree must not end in a traceback after minutes of measuring."""

    def not_installed(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", not_installed)
    assert pytest_perfguard.__version__ == "unknown"
