"""What the fixture `cache` gives: pytest's own cache to the letter, and levels with a time to live on top."""

from __future__ import annotations

import inspect
import json
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from pytest_perfguard.caching.computing_aio import AsyncComputing
from pytest_perfguard.caching.disk import DiskCache
from pytest_perfguard.caching.level import DEFAULT, MISSING
from pytest_perfguard.caching.levels import MEMORY_TTL, MultiLevelCache
from pytest_perfguard.caching.levels_base import CacheStats
from pytest_perfguard.caching.memory import MemoryCache
from pytest_perfguard.caching.twins import twin_of
from pytest_perfguard.plugin.endings import Ending, at_the_end
from pytest_perfguard.plugin.keys import CACHE, MONITOR
from pytest_perfguard.plugin.options import run_settings
from pytest_perfguard.tool_errors import CacheError

#: Our folder among those that pytest's cache keeps for plugins.
_FOLDER: Final = "perfguard"
_IN_MEMORY: Final = (
    "pytest's cacheprovider plugin is off: the fixture cache keeps everything in memory, until the end of this run"
)


class PerfCache:
    """`get`, `set` and `mkdir` are those of pytest's fixture; what is set with a `ttl`, or computed, is kept in levels.

    These are memory, a folder of pytest's cache, and Redis where the ini key `perf_redis_url` names a server. All tests of a run
    have the same object.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._builtin: pytest.Cache | None = getattr(config, "cache", None)
        self._home = Path() if self._builtin is None else _cache_folder(config)
        self._url: str | None = run_settings(config).redis_url
        self._prefix = f"perfguard:{config.rootpath.name}:"
        self._made: MultiLevelCache | None = None
        self._for_tasks: AsyncComputing | None = None
        self._lock = threading.RLock()
        self._texts: dict[str, str] = {}  # where there is no cache of pytest's
        self._folders: Path | None = None
        if self._builtin is None:
            warnings.warn(_IN_MEMORY, pytest.PytestWarning, stacklevel=2)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """An instance of `pytest.Cache`, for those who ask."""
        return PerfCache if self._builtin is None else type(self._builtin)

    def __getattr__(self, name: str) -> Any:
        """Whatever else pytest's own has."""
        builtin = self.__dict__.get("_builtin")
        if builtin is None:
            raise AttributeError(f"the fixture cache has no attribute {name!r}")
        return getattr(builtin, name)

    def get(self, key: str, default: Any) -> Any:
        """The value that was set, computed, or kept by an earlier run; `default` if there is none or it has expired."""
        value = self._levels.get(key, MISSING) if self._has_levels() else MISSING
        if value is not MISSING:
            return value
        if self._builtin is not None:
            return self._builtin.get(key, default)
        text = self._texts.get(key)
        return default if text is None else json.loads(text)

    def set(self, key: str, value: object, ttl: float | None = None) -> None:
        """Keep a value that JSON can hold, as pytest's own does; with `ttl` for so many seconds, in the levels."""
        if ttl is not None:
            self._value_path(key)  # pytest's own would refuse it, too
            self._levels.set(key, value, ttl)
            self._forget_value(key)
            return
        if self._has_levels():
            self._levels.delete(key)
        if self._builtin is not None:
            self._builtin.set(key, value)
        else:
            self._texts[key] = json.dumps(value)

    def mkdir(self, name: str) -> Path:
        """A folder that outlives the run; without pytest's cacheprovider a temporary one."""
        if self._builtin is not None:
            return self._builtin.mkdir(name)
        if len(Path(name).parts) > 1:
            raise ValueError("name is not allowed to contain path separators")
        if self._folders is None:
            import tempfile

            self._folders = Path(tempfile.mkdtemp(prefix="perfguard-cache-"))
        folder = self._folders / name
        folder.mkdir(exist_ok=True)
        return folder

    def get_or_compute(self, key: str, function: Callable[[], Any], ttl: float | None = DEFAULT) -> Any:
        """The value; where there is none, what `function()` returns, which is then kept for `ttl` seconds (1 hour).

        Of all tests, threads and processes (xdist) that ask at the same time one computes. For a coroutine function this is
        to be awaited.
        """
        if inspect.iscoroutinefunction(function):
            return self._computed_by_task(key, function, ttl)
        value = self.get(key, MISSING)
        return self._levels.get_or_compute(key, function, ttl) if value is MISSING else value

    def delete(self, key: str) -> bool:
        """Forget a key, however it was set; was there anything?"""
        self._value_path(key)
        gone = self._levels.delete(key) if self._has_levels() else False
        return self._forget_value(key) or gone

    def clear(self) -> None:
        """Forget what was set with a `ttl` or computed; what pytest and its plugins keep stays."""
        if self._has_levels():
            self._levels.clear()

    def stats(self) -> CacheStats:
        """Hits, misses, evictions, errors of the levels since the run began."""
        return self._levels.stats()

    def statistics(self) -> dict[str, float]:
        """The same as numbers by name: `perf_monitor.watch("cache", cache.statistics)`."""
        return self._levels.statistics()

    def close(self) -> None:
        """At the end of the run."""
        if self._made is not None:
            self._made.close()
        if self._folders is not None:
            import shutil

            shutil.rmtree(self._folders, ignore_errors=True)

    async def _computed_by_task(self, key: str, function: Callable[[], Any], ttl: float | None) -> Any:
        value = self.get(key, MISSING)
        if value is not MISSING:
            return value
        with self._lock:
            if self._for_tasks is None:
                self._for_tasks = twin_of(self._levels)
        return await self._for_tasks.get_or_compute(key, function, ttl)

    @property
    def _levels(self) -> MultiLevelCache:
        with self._lock:
            if self._made is None:
                self._made = MultiLevelCache(self._make_levels())
            return self._made

    def _make_levels(self) -> Iterator[Any]:
        yield MemoryCache(ttl=MEMORY_TTL)
        if self._builtin is not None:
            try:
                yield DiskCache(self._builtin.mkdir(_FOLDER))
            except (CacheError, OSError) as error:
                warnings.warn(f"the fixture cache does without its folder: {error}", pytest.PytestWarning, stacklevel=4)
        if self._url is not None:
            from pytest_perfguard.caching.remote import RedisCache

            yield RedisCache(self._url, prefix=self._prefix)

    def _has_levels(self) -> bool:
        """Can there be anything in the levels? They are not made only to find nothing."""
        if self._made is not None or self._url is not None:
            return True
        return self._builtin is not None and (self._home / "d" / _FOLDER / "cache.db").exists()

    def _forget_value(self, key: str) -> bool:
        """Remove what was set without a time to live."""
        if self._builtin is None:
            return self._texts.pop(key, None) is not None
        path = self._value_path(key)
        try:
            there = path.is_file()
            path.unlink(missing_ok=True)
        except (OSError, ValueError):  # no file of that name can be there
            return False
        return there

    def _value_path(self, key: str) -> Path:
        values = self._home / "v"
        path = Path(os.path.normpath(values / key))
        if values not in path.parents:
            raise ValueError(f"{key!r} is not allowed to escape the cache directory")
        return path


def the_cache(request: pytest.FixtureRequest) -> PerfCache:
    """The one of this run; the test's monitor, if it has one by the time its body begins, watches it."""
    config = request.config
    cache = config.stash.get(CACHE, None)
    if cache is None:
        cache = config.stash[CACHE] = PerfCache(config)
        config.add_cleanup(cache.close)
    at_the_end(request, Ending(problems=lambda: "", begin=lambda: _watched(config, cache)))
    return cache


def _watched(config: pytest.Config, cache: PerfCache) -> None:
    if (monitor := config.stash.get(MONITOR, None)) is not None:
        monitor.watch("cache", cache.statistics)


def _cache_folder(config: pytest.Config) -> Path:
    """Where pytest's cache is; asking it would make the folder."""
    written = os.path.expandvars(Path(config.getini("cache_dir")).expanduser())
    return Path(os.path.normpath(config.rootpath / written))
