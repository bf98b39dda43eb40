"""The fixture `cache`: pytest's own to the letter, and more."""

from __future__ import annotations

import json
import os

import pytest

TEST = """
import pytest


def test_as_before(cache):
    assert isinstance(cache, pytest.Cache)
    assert cache.get("mine/answer", 41) == 41
    cache.set("mine/answer", (42, {1: None}))
    assert cache.get("mine/answer", None) == [42, {"1": None}]
    with pytest.raises(TypeError):
        cache.get("mine/answer")
    folder = cache.mkdir("mine")
    assert folder.is_dir()
    with pytest.raises(ValueError, match="separators"):
        cache.mkdir("a/b")
    with pytest.raises(TypeError):
        cache.set("mine/odd", object())


def test_on_top(cache, perf_monitor):
    calls = []
    assert cache.get_or_compute("answer", lambda: calls.append(1) or 42, ttl=60) == 42
    assert cache.get_or_compute("answer", lambda: calls.append(1) or 43) == 42
    assert calls == [1]
    assert cache.get("answer", None) == 42
    cache.set("short", [1], ttl=60)
    assert cache.get("short", None) == [1]
    cache.set("short", [2])
    assert cache.get("short", None) == [2]
    cache.set("short", [3], ttl=60)
    assert cache.get("short", None) == [3]
    assert cache.delete("short") is True
    assert cache.delete("short") is False
    assert cache.get("short", "gone") == "gone"
    cache.set("plain", 1)
    cache.clear()
    assert cache.get("answer", None) is None
    assert cache.get("plain", None) == 1
    assert cache.delete("plain") is True
    assert cache.stats().hits >= 2
    assert "cache.hits" in perf_monitor.export("json")
    cache.set("kept", 7, ttl=3600)


def test_a_users_own_may_have_another_name(perf_cache, cache):
    assert perf_cache is cache


@pytest.mark.asyncio
async def test_computed_by_a_task(cache):
    async def compute():
        return 5

    assert await cache.get_or_compute("task", compute) == 5
    assert await cache.get_or_compute("task", compute) == 5
"""


@pytest.mark.plugins("asyncio")
def test_the_fixture(pytester):
    pytester.makepyfile(TEST)
    pytester.runpytest_subprocess("-q").assert_outcomes(passed=4)
    assert json.loads((pytester.path / ".pytest_cache/v/mine/answer").read_text()) == [42, {"1": None}]
    assert (pytester.path / ".pytest_cache/d/mine").is_dir()
    pytester.makepyfile("def test_another_run(cache):\n    assert cache.get('kept', None) == 7\n")
    pytester.runpytest_subprocess("-q").assert_outcomes(passed=1)
    pytester.makepyfile("def test_cleared(cache):\n    assert cache.get('kept', None) is None\n")
    pytester.runpytest_subprocess("-q", "--cache-clear").assert_outcomes(passed=1)


def test_nothing_is_made_for_those_who_want_pytests_own_only(pytester):
    pytester.makepyfile("def test_plain(cache):\n    assert cache.get('a', 1) == 1\n")
    pytester.runpytest_subprocess("-q").assert_outcomes(passed=1)
    assert not (pytester.path / ".pytest_cache/d").exists()


def test_a_folder_that_the_user_chose(pytester, monkeypatch):
    monkeypatch.setenv("CACHE_HOME", "elsewhere")
    pytester.makeini("[pytest]\ncache_dir = $CACHE_HOME/cache\n")
    pytester.makepyfile(
        """
        def test_it(cache):
            cache.set("a", 1, ttl=60)
            cache.set("b", 1)
            assert cache.delete("b")
        """
    )
    pytester.runpytest_subprocess("-q").assert_outcomes(passed=1)
    assert (pytester.path / "elsewhere/cache/d/perfguard/cache.db").exists()
    assert not (pytester.path / "elsewhere/cache/v/b").exists()


def test_without_pytests_cache_it_works_in_memory_and_says_so(pytester):
    pytester.makepyfile(
        """
        import pytest

        def test_it(cache):
            assert cache.get("a", 1) == 1
            cache.set("a", (2,))
            assert cache.get("a", None) == [2]
            assert cache.mkdir("mine") == cache.mkdir("mine")
            assert cache.mkdir("mine").is_dir()
            with pytest.raises(ValueError, match="separators"):
                cache.mkdir("a/b")
            assert cache.get_or_compute("b", lambda: 3) == 3
            assert cache.delete("a") is True
            assert not hasattr(cache, "warn")
            assert not isinstance(cache, pytest.Cache)
        """
    )
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*the fixture cache keeps all values in memory, until the end of this run*"])


def test_a_key_that_escapes_is_refused(pytester):
    pytester.makepyfile(
        """
        import pytest

        def test_it(cache):
            with pytest.raises(ValueError, match="escape"):
                cache.set("../../e", 1, ttl=5)
            cache.set("a/b", 1)
            cache.set("a", 2, ttl=60)
            assert cache.get("a", None) == 2
            assert cache.delete("a") is True
            assert cache.delete("a/b/c") is False
            assert cache.delete("x" * 300) is False
            with pytest.raises(ValueError, match="escape"):
                cache.delete("../../test_a_key_that_escapes_is_refused.py")
        """
    )
    pytester.runpytest_subprocess("-q").assert_outcomes(passed=1)


@pytest.mark.plugins("xdist")
def test_workers_of_xdist_compute_once(pytester):
    pytester.makepyfile(
        """
        import pytest, time

        @pytest.mark.parametrize("number", range(4))
        def test_it(cache, number, pytestconfig):
            def compute():
                with open(pytestconfig.rootpath / "calls", "a") as calls:
                    calls.write("x")
                time.sleep(0.2)
                return 7

            assert cache.get_or_compute("expensive", compute) == 7
        """
    )
    pytester.runpytest_subprocess("-q", "-n", "2").assert_outcomes(passed=4)
    assert (pytester.path / "calls").read_text() == "x"


def test_a_url_that_is_none_is_a_usage_error(pytester):
    pytester.makepyfile("def test_it(cache):\n    pass\n")
    pytester.makeini("[pytest]\nperf_redis_url = localhost\n")
    result = pytester.runpytest_subprocess("-q")
    result.stderr.fnmatch_lines(["*'localhost' is not the URL of a Redis server*"])
    assert result.ret == 4


def test_a_measured_test_may_use_it(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.perf(budget="0.2s")
        def test_it(cache):
            cache.set("a", 1, ttl=60)
            assert cache.get("a", None) == 1
        """
    )
    pytester.runpytest_subprocess("--perf").assert_outcomes(passed=1)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_cannot_be_written_is_done_without(pytester):
    pytester.makepyfile("def test_it(cache):\n    assert cache.get_or_compute('a', lambda: 1) == 1\n")
    (pytester.path / ".pytest_cache").mkdir(mode=0o500)
    result = pytester.runpytest_subprocess("-q")
    result.assert_outcomes(passed=1, warnings=3)
    result.stdout.fnmatch_lines(["*the fixture cache works without its folder*"])


def test_threads_of_a_test_compute_once(pytester):
    pytester.makepyfile(
        """
        import threading, time

        def test_it(cache):
            calls = []
            threads = [
                threading.Thread(
                    target=cache.get_or_compute, args=("a", lambda: calls.append(1) or time.sleep(0.1) or 1)
                ) for _ in range(20)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert calls == [1]
        """
    )
    pytester.runpytest_subprocess("-q").assert_outcomes(passed=1)
