"""Mark all tests under the paths of `perf_paths` as perf tests, when they are collected.

In every run, measuring or not, so that `-m perf` and `-m "not perf"` select by the same marker.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_perfguard.plugin.options import MARKER
from pytest_perfguard.plugin.output import usage_error


def register(config: pytest.Config, paths: Sequence[str]) -> None:
    """Mark the tests of this run that lie under the paths.

    Raises
    ------
    pytest.UsageError
        for a path that does not exist. Measuring processes and workers of xdist leave that to their controller.
    """
    if config.option.perf_child is None and not hasattr(config, "workerinput"):
        _check_existing(config.rootpath, paths)
    config.pluginmanager.register(_PathMarker(config.rootpath, paths), "perfguard-paths")


def _check_existing(root: Path, paths: Sequence[str]) -> None:
    for path in paths:
        if not (root / path).exists():
            raise usage_error(
                f"perf_paths: {path!r} does not exist: there is no {root / path}; give test files and folders, each as a value or "
                f"a line of its own, relative to the rootdir, {root}"
            )


class _PathMarker:
    """The hook that marks tests. Their own markers take precedence, since the added one has no keywords."""

    def __init__(self, root: Path, paths: Sequence[str]) -> None:
        self._places = [(root / path).resolve() for path in paths]
        self._known: dict[Path, bool] = {}
        """Whether a test file lies under the paths: a file has many tests."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        if isinstance(item, pytest.Function) and self._contains(item.path):
            item.add_marker(MARKER)

    def _contains(self, path: Path) -> bool:
        if path not in self._known:
            resolved = path.resolve()
            self._known[path] = any(resolved.is_relative_to(place) for place in self._places)
        return self._known[path]
