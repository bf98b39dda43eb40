"""Determine which tests this command line would have run. In doubt, a test counts as not selected."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Final

import pytest

from pytest_perfguard.plugin.functional_run import RunState

#: Options that select tests by a rule that cannot be applied to a test that no longer exists.
_FILTERS: Final = ("keyword", "markexpr", "lf", "deselect", "ignore", "ignore_glob", "stepwise")
#: Options of plugins that give each job a part of the suite, and the smallest number of parts that means several:
#: pytest-split, pytest-shard, pytest-test-groups.
_SHARDS: Final = {"splits": 2, "num_shards": 2, "test-group-count": 2}


def is_whole_suite(config: pytest.Config) -> bool:
    """Return whether the run selected every test that the project's configuration names."""
    return not _filtered(config) and not _positional(config)


def is_shard(config: pytest.Config) -> bool:
    """Return whether a plugin gives this run a part of the suite, and other runs the rest."""
    counts = {name: config.getoption(name, None) for name in _SHARDS}
    return any(isinstance(count, int) and count >= _SHARDS[name] for name, count in counts.items())


class Selection:
    """The tests that this run would select."""

    def __init__(self, config: pytest.Config, state: RunState) -> None:
        self._config = config
        self._collected = frozenset(state.collected)
        self._left_out = frozenset(state.found) - self._collected
        self._filtered = _filtered(config)
        self._named = _positional(config)
        self._in_testpaths = functools.lru_cache(maxsize=None)(self._is_in_testpaths)
        self._resolved = functools.lru_cache(maxsize=None)(self._resolve)

    def includes(self, nodeid: str) -> bool:
        """Return whether a test with this id would have run if it existed.

        A test that was found and left out may belong to another shard. A test that was not found is gone for every shard.
        """
        if self._filtered or nodeid in self._left_out:
            return nodeid in self._collected
        file = nodeid.partition("::")[0]
        if not self._named:
            return self._in_testpaths(file)
        return any(self._covers(argument, file, nodeid) for argument in self._named)

    def _is_in_testpaths(self, file: str) -> bool:
        root, folder = self._config.rootpath, self._config.invocation_params.dir
        paths = [root / path for path in self._config.getini("testpaths")] if folder == root else [folder]
        return not paths or any(self._resolved(file).is_relative_to(os.path.realpath(path)) for path in paths)

    def _covers(self, argument: str, file: str, nodeid: str) -> bool:
        path, *names = argument.split("::")
        named = Path(os.path.realpath(self._config.invocation_params.dir / path))
        if not names:
            return self._resolved(file).is_relative_to(named)
        tail = "::".join(names)
        rest = nodeid.partition("::")[2]
        return named == self._resolved(file) and (rest == tail or rest.startswith((f"{tail}::", f"{tail}[")))

    def _resolve(self, file: str) -> Path:
        return Path(os.path.realpath(self._config.rootpath / file))


def _filtered(config: pytest.Config) -> bool:
    # `-m perf` leaves out no perf test.
    return any(config.getoption(name, None) not in (None, "", [], False, "perf") for name in _FILTERS)


def _positional(config: pytest.Config) -> list[str]:
    """Return the arguments with which the user selects tests; empty if the configuration selects them."""
    source = getattr(config, "args_source", None)
    if source is not None and getattr(source, "name", "") != "ARGS":
        return []
    return [str(argument) for argument in config.args]
