"""`DiskCache`: what outlives processes, kills and broken files."""

from __future__ import annotations

import collections
import http
import json
import math
import os
import pickle
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from pytest_perfguard import CacheError, CacheValueError, DiskCache

needs_rights = pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
def disk(tmp_path, now):
    return DiskCache(tmp_path / "cache", clock=lambda: now[0])


def entries(disk, sql, *arguments):
    with sqlite3.connect(disk.folder / "cache.db") as connection:
        connection.execute(sql, arguments)
    connection.close()


def test_another_process_reads_what_one_has_written(disk):
    disk.set("ключ \udc80 ", {"a": [1, None, 2.5, "é"]})
    code = f"from pytest_perfguard import DiskCache; print(DiskCache({str(disk.folder)!r}).get('n'))"
    disk.set("n", 7, None)
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "7\n"
    assert disk.get("ключ \udc80 ") == {"a": [1, None, 2.5, "é"]}


def test_entries_expire_and_are_counted(disk, now):
    disk.set("a", 1, 10)
    disk.set("b", 2, None)
    now[0] += 9.5
    assert disk.lookup("a") == (1, 0.5)
    assert disk.lookup("b") == (2, None)
    now[0] += 0.5
    assert disk.get("a", "gone") == "gone"
    stats = disk.stats()
    assert (stats.entries, stats.hits, stats.misses, stats.expirations) == (1, 2, 1, 1)


def test_the_least_recently_used_entry_goes_first(tmp_path, now):
    disk = DiskCache(tmp_path, maxsize=3, clock=lambda: now[0])
    for number, key in enumerate("abc"):
        now[0] += 1
        disk.set(key, number)
    now[0] += 1
    assert disk.get("a") == 0
    now[0] += 1
    disk.set("d", 3)
    assert [disk.get(key) for key in "abcd"] == [0, None, 2, 3]
    assert disk.stats().evictions == 1


def test_what_has_expired_goes_before_what_is_used(tmp_path, now):
    disk = DiskCache(tmp_path, maxsize=2, clock=lambda: now[0])
    disk.set("short", 1, 5)
    disk.set("long", 2, 500)
    now[0] += 10
    disk.set("new", 3)
    assert disk.get("long") == 2
    assert disk.stats().evictions == 0


def test_the_bytes_on_the_disk_stay_within_the_bound(tmp_path, now):
    bound = 2_000_000
    disk = DiskCache(tmp_path, max_bytes=bound, clock=lambda: now[0])
    chance = random.Random(1)
    for number in range(400):
        now[0] += 1
        disk.set(f"key {number % 150}", "x" * chance.choice([10, 3_000, 50_000]))
        assert disk.stats().weight <= bound
    disk.set("too large", "x" * bound)
    assert disk.stats().refusals == 1
    assert disk.stats().evictions > 10
    assert disk.size_on_disk() < 1.1 * bound + 2_500_000  # and the log
    assert disk.get("too large") is None


def test_a_replaced_entry_counts_once(disk):
    for size in (10, 100_000, 20):
        disk.set("a", "x" * size)
    stats = disk.stats()
    assert stats.entries == 1
    assert stats.weight < 200
    assert len(disk) == 1
    disk.delete("a")
    assert disk.stats().weight == 0


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"[1, 2]"])
def test_an_entry_that_cannot_be_read_is_a_miss_and_is_removed(disk, caplog, damage):
    disk.set("a", [1])
    disk.set("b", [2])
    entries(disk, "update entries set value = ? where key = ?", damage, b"a")
    assert disk.get("a", "miss") == "miss"
    assert "cannot be read and is removed" in caplog.text
    assert (disk.stats().corrupt, disk.stats().entries) == (1, 1)
    disk.set("a", [3])
    assert (disk.get("a"), disk.get("b")) == ([3], [2])


@pytest.mark.parametrize("what", ["garbage", "another database", "cut off"])
def test_a_broken_file_is_moved_aside_and_the_cache_begins_anew(tmp_path, caplog, what):
    with DiskCache(tmp_path) as disk:
        disk.set("a", "x" * 20_000)
    path = tmp_path / "cache.db"
    if what == "garbage":
        path.write_bytes(b"garbage" * 1000)
    elif what == "cut off":
        path.write_bytes(path.read_bytes()[:6000])
    else:
        path.unlink()
        with sqlite3.connect(path) as connection:
            connection.execute("create table important (value)")
            connection.execute("pragma user_version = 1")
        connection.close()
    damaged = path.read_bytes()
    disk = DiskCache(tmp_path)
    assert disk.get("a", "miss") == "miss"
    disk.set("a", 2)
    assert disk.get("a") == 2
    (aside,) = tmp_path.glob("broken-*.db")
    assert aside.read_bytes() == damaged  # for whoever wants to know why
    assert "was broken; it is now" in caplog.text


def test_a_kill_at_any_moment_loses_no_entry_that_was_set(tmp_path):
    code = f"""
from pytest_perfguard import DiskCache
disk = DiskCache({str(tmp_path / "cache")!r}, max_bytes=300_000)
number = 0
while True:
    disk.set(f"key {{number % 50}}", [number, "x" * (number * 997 % 9000)])
    print(number, flush=True)
    number += 1
"""
    for seed in range(4):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(60 + 13 * seed):
            last = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        last = max([last, *map(int, child.stdout.read().split())])
        child.wait()
        child.stdout.close()
        disk = DiskCache(tmp_path / "cache", max_bytes=300_000)
        number, text = disk.get(f"key {last % 50}")
        assert number in (last, last + 50)
        assert len(text) == number * 997 % 9000
        with sqlite3.connect(tmp_path / "cache" / "cache.db") as connection:
            assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
            told = connection.execute("select entries, cost from totals").fetchone()
            assert told == connection.execute("select count(*), sum(cost) from entries").fetchone()
        connection.close()
        disk.clear()
        disk.close()


def test_processes_and_threads_share_it(tmp_path):
    code = f"""
import threading
from pytest_perfguard import DiskCache
disk = DiskCache({str(tmp_path)!r}, maxsize=40)
def work(thread):
    for number in range(30):
        disk.set(f"{{thread}} {{number}}", number)
        assert disk.get(f"{{thread}} {{number}}", number) == number
threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert len(disk) <= 40
"""
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    assert len(DiskCache(tmp_path)) == 40


def test_processes_compute_once(tmp_path):
    code = f"""
import time
from pathlib import Path
from pytest_perfguard import DiskCache
disk = DiskCache({str(tmp_path / "cache")!r})
def compute():
    with open({str(tmp_path / "calls")!r}, "a") as calls:
        calls.write("x")
    time.sleep(0.3)
    return 7
assert disk.get_or_compute("a", compute) == 7
"""
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    assert (tmp_path / "calls").read_text() == "x"


def test_who_dies_while_computing_holds_nobody_up(tmp_path):
    code = f"""
import os
from pytest_perfguard import DiskCache
DiskCache({str(tmp_path)!r}).get_or_compute("a", lambda: os.kill(os.getpid(), 9))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert DiskCache(tmp_path).get_or_compute("a", lambda: 5) == 5


def test_two_caches_of_one_process_claim_a_key_once(tmp_path):
    one, other = DiskCache(tmp_path), DiskCache(tmp_path)
    release = one.lease("a")
    assert other.lease("a") is None
    assert other.lease("b") is not None
    other.close()
    del other  # closing a file gives back all locks of a process on it
    assert one.lease("a") is None
    release()
    assert one.lease("a") is not None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_process_that_was_forked_has_connections_of_its_own(disk):
    disk.set("a", 1)
    pid = os.fork()
    if pid == 0:
        disk.set("b", disk.get("a") + 1)
        os._exit(0 if disk.lease("a") else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert (disk.get("a"), disk.get("b")) == (1, 2)


def test_threads_use_a_connection_each_and_no_more(disk):
    def work():
        for number in range(20):
            disk.set(str(number), number)
            disk.get(str(number))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len(disk._database._idle) <= 5
    disk.close()
    assert not disk._database._idle
    assert disk.get("3") == 3


@pytest.mark.parametrize(
    "value", [http.HTTPStatus.OK, [collections.Counter()], (1, 2), {1: 2}, {"a": {3}}, b"bytes", object(), {"a": (1,)}]
)
def test_json_refuses_what_would_not_come_back_as_it_is(disk, value):
    with pytest.raises(CacheValueError, match="give the cache a serializer"):
        disk.set("a", value)
    assert disk.get("a") is None


def test_a_serializer_of_the_users_choice(tmp_path):
    disk = DiskCache(tmp_path, serializer=pickle)
    disk.set("a", (1, {2}))
    assert disk.get("a") == (1, {2})
    plain = DiskCache(tmp_path)
    assert plain.get("a") is None  # nothing is unpickled unless it was asked for
    assert plain.stats().corrupt == 1


def test_keys_are_plain_data(disk):
    with pytest.raises(CacheValueError, match="the key <object .*> is not plain data"):
        disk.get(object())
    with pytest.raises(CacheValueError, match="the key nan is not plain data"):
        disk.get(float("nan"))


def test_a_folder_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="cannot keep a cache here"):
        DiskCache(tmp_path / "file" / "cache")


def test_a_full_disk_is_told_and_loses_nothing(disk):
    disk.set("a", 1)
    pages = disk._database.do(lambda connection: connection.execute("pragma page_count").fetchone()[0])
    disk._database.do(lambda connection: connection.execute(f"pragma max_page_count = {pages + 2}").fetchall())
    with pytest.raises(CacheError, match="full"):
        disk.set("b", "x" * 100_000)
    assert disk.get("a") == 1
    assert json.loads(json.dumps(disk.stats().entries)) == 1


def test_numbers_that_are_none_come_back_as_they_are(disk):
    disk.set("a", [math.nan, math.inf, 1.0, 1, True])
    first, *others = disk.get("a")
    assert math.isnan(first)
    assert [(type(value), value) for value in others] == [(float, math.inf), (float, 1.0), (int, 1), (bool, True)]


def test_reading_needs_no_writing(disk, now, monkeypatch):
    monkeypatch.setattr("pytest_perfguard.tools.caches.database.BUSY_TIMEOUT", 0.01)
    disk.set("good", 1)
    disk.set("old", 2, 5)
    now[0] += 10
    disk.close()
    other = sqlite3.connect(disk.folder / "cache.db")
    other.execute("begin immediate")
    try:
        assert disk.get("good") == 1
        assert disk.get("old", "gone") == "gone"
        with pytest.raises(CacheError, match="locked"):
            disk.set("new", 1)
    finally:
        other.rollback()
        other.close()


def test_a_folder_that_was_removed_is_made_again(disk):
    disk.set("a", 1)
    shutil.rmtree(disk.folder)
    assert disk.get("a", "gone") == "gone"
    disk.set("a", 2, None)
    assert disk.get("a") == 2
    assert DiskCache(disk.folder).get("a") == 2


def test_another_cache_of_the_folder_follows_when_the_file_is_moved_aside(tmp_path):
    one, other = DiskCache(tmp_path), DiskCache(tmp_path)
    other.set("a", 1)
    (tmp_path / "cache.db").rename(tmp_path / "moved.db")
    one.set("a", 2)
    assert other.get("a") == 2


def test_totals_that_somebody_has_spoilt_do_not_hold_anybody_up(disk):
    disk.set("a", 1)
    entries(disk, "update totals set cost = 999999999999")
    disk.set("b", 2)
    disk.set("c", 3)
    assert disk.get("c") == 3


def test_few_connections_stay_open(disk):
    together = threading.Barrier(20)

    def work():
        together.wait(20)
        disk.get("a")

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(disk._database._idle) <= 8


def test_what_was_replaced_since_it_was_found_broken_stays(disk):
    disk.set("a", 1, None)
    entries(disk, "update entries set value = x'00' where key = ?", b"a")
    found = disk._database.do(
        lambda connection: connection.execute("select value, crc, expires, used from entries").fetchone()
    )
    disk.set("a", 2, None)
    disk._discard(b"a", "corrupt", found)
    assert disk.get("a") == 2


def test_two_caches_on_one_folder_do_not_wait_for_one_another_for_ever(tmp_path):
    """Nested, for the same key: the inner one would wait for the outer one's lock, which waits for it."""
    with DiskCache(tmp_path) as outer, DiskCache(tmp_path) as inner:
        with pytest.raises(CacheError, match="computing 'key' asks for 'key' itself"):
            outer.get_or_compute("key", lambda: inner.get_or_compute("key", lambda: 1))
        assert outer.get_or_compute("key", lambda: inner.get_or_compute("other", lambda: 1) + 1) == 2
        assert inner.get("key") == 2


def test_a_relative_folder_is_that_of_the_time_when_the_cache_is_made(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    cache = DiskCache("cache")
    cache.set("a", 1)
    monkeypatch.chdir(tmp_path / "elsewhere")
    cache.close()
    assert cache.get("a") == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert cache.folder == tmp_path / "cache"


def test_a_number_that_exceeds_the_bound_is_not_kept_and_does_not_block(tmp_path):
    cache = DiskCache(tmp_path, max_bytes=50)
    assert cache.incr("a") == 1
    assert cache.get("a") is None
    assert cache.stats().refusals == 1


def test_adding_what_exceeds_the_bound_leaves_what_is_there(tmp_path):
    cache = DiskCache(tmp_path, max_bytes=1_000)
    cache.set("a", 1)
    assert not cache.add("a", "x" * 2_000)
    assert cache.get("a") == 1
    cache.set("a", "x" * 2_000)
    assert "a" not in cache
    assert cache.stats().refusals == 2


def test_the_last_of_several_values_of_a_key_is_kept(tmp_path):
    cache = DiskCache(tmp_path, clock=lambda: 0.0)
    cache.multi_set([("a", 1), ("a", 2), ("a", 1)])
    assert cache.get("a") == 1


def nested(depth):
    key = ()
    for _ in range(depth):
        key = (key,)
    return key


def test_deep_keys_are_kept_or_refused(disk):
    disk.set(nested(99), 1)
    assert list(disk) == [nested(99)]
    for depth in (101, 250, 100_000):
        with pytest.raises(CacheValueError, match="is not plain data"):
            disk.set(nested(depth), 1)
    if hasattr(sys, "set_int_max_str_digits"):
        with pytest.raises(CacheValueError, match="the key cannot be written"):
            disk.get(10**5000)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_of_a_computation_that_requests_its_key_gets_an_error(disk):
    def compute():
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        signal.alarm(20)
        try:
            disk.get_or_compute("a", lambda: 1)
        except CacheError as error:
            os._exit(7 if "asks for 'a' itself" in str(error) else 1)
        os._exit(0)

    assert disk.get_or_compute("a", compute) == 7
    assert disk.get_or_compute("a", lambda: 8) == 7
