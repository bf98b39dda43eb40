"""What works on Windows, as far as that can be tested elsewhere: without the functions and modules that it lacks.

The list of docs/windows.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.documents import PAGES, blocks

ROOT = Path(__file__).parents[1]
#: What runs before the stand-in takes the place of modules: packages of others keep the real ones.
START = """
import asyncio, multiprocessing.connection, sqlite3, subprocess, sys
import filelock, psutil, pytest, tabulate
from tests import windows_stand_in
"""
TOOLS = """
import asyncio
import time

import pytest
import pytest_perfguard
from pytest_perfguard import (
    AsyncObjectPool, BatchProcessor, DiskCache, LazyModuleLoader, LeakError, MemoryManager, MultiLevelCache, MemoryCache,
    StartupSequence, StreamProcessor,
)

def test_every_public_name_loads():
    for name in pytest_perfguard.__all__:
        getattr(pytest_perfguard, name)

def test_a_leak_is_found(memory_watch):
    kept = []
    with pytest.raises(LeakError, match="memory"):
        memory_watch.check(lambda: kept.append(bytearray(1000)), calls=50)

def test_open_files_are_counted(memory_watch, tmp_path):
    kept = []
    with pytest.raises(LeakError, match="open file"):
        memory_watch.check(lambda: kept.append((tmp_path / "x").open("w")), calls=20)

def test_timers(perf_monitor):
    with perf_monitor.timer("work"):
        time.sleep(0.001)
    assert "work" in perf_monitor.export("json")

def test_caches(tmp_path):
    with DiskCache(tmp_path / "cache") as disk:
        cache = MultiLevelCache([MemoryCache(), disk])
        assert [cache.get_or_compute("key", lambda: 5) for _ in range(2)] == [5, 5]

def test_an_async_pool():
    async def use():
        async def make():
            return []
        async with AsyncObjectPool(make) as pool, pool.item() as item:
            return item
    assert asyncio.run(use()) == []

def test_memory():
    assert MemoryManager().sample().rss > 0

@pytest.mark.perf(max_time="1s")
def test_marked():
    sum(range(100))
"""


def run(folder, code):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment["PYTEST_PLUGINS"] = "pytest_perfguard.plugin"
    command = [sys.executable, "-c", START + code]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_fixtures_and_the_tools_work(tmp_path):
    (tmp_path / "test_fixtures.py").write_text(blocks(PAGES["typing.md"], "python")[0])
    (tmp_path / "test_tools.py").write_text(TOOLS)
    done = run(tmp_path, "sys.exit(pytest.main(['-q', '-W', 'ignore', '--tb=short']))")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "15 passed" in done.stdout


@pytest.mark.parametrize("mode", ["--perf", "--perf-baseline", "--perf-compare"])
def test_a_mode_that_measures_is_refused_with_the_reason(tmp_path, mode):
    (tmp_path / "test_a.py").write_text("def test_a(): pass\n")
    done = run(tmp_path, f"sys.exit(pytest.main(['{mode}']))")
    assert done.returncode == 4
    assert f"ERROR: {mode}: measuring needs a POSIX system (Linux, macOS)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [["--version"], ["doctor"], ["report", "--help"], ["init", "--ci=github", "--yes"]]
)
def test_the_command_works(tmp_path, arguments):
    done = run(tmp_path, f"from pytest_perfguard.cli import main; sys.exit(main({arguments!r}))")
    assert done.returncode == 0, done.stdout + done.stderr
