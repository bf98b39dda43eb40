"""Functions that are known to leak, or not to leak, when they are called repeatedly."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import ctypes
import functools
import gc
import json
import logging
import mmap
import os
import pickle
import queue
import random
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import warnings
import weakref
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import make_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import NamedTuple

CLEAN: dict[str, object] = {}
#: Each with the kind that the check must report.
LEAKING: dict[str, tuple[object, str]] = {}
#: Real leaks that the check cannot see, each with the reason.
UNSEEN: dict[str, tuple[object, str]] = {}

KEPT: list[object] = []
CALLS = iter(range(10**9))
LIBC = ctypes.CDLL(None)
DEV_NULL = Path(os.devnull)
log = logging.getLogger("cases")


def clean(function):
    CLEAN[function.__name__] = function
    return function


def leaks(kind):
    def enter(function):
        LEAKING[function.__name__] = function, kind
        return function

    return enter


def unseen(reason):
    def enter(function):
        UNSEEN[function.__name__] = function, reason
        return function

    return enter


class Node:
    def __init__(self):
        self.other = None


# ---------------------------------------------------------------- clean


@clean
def nothing():
    pass


@clean
def temporaries():
    return [bytes(100) for _ in range(50)]


@clean
def temporaries_of_random_size():
    return [bytes(random.randrange(5000)) for _ in range(20)]


@clean
def last_result_is_kept():
    global LAST
    LAST = bytes(random.randrange(5000))


@clean
def regex_cache():
    return re.search(f"a{next(CALLS)}b+", "xaab")


@functools.lru_cache(maxsize=128)
def cached_small(_number):
    return bytes(1000)


@clean
def lru_cache_fills():
    return cached_small(next(CALLS))


@functools.lru_cache(maxsize=100_000)
def cached_large(_number):
    return bytes(100)


@clean
def large_lru_cache_fills():
    return cached_large(next(CALLS))


BOUNDED: OrderedDict[int, bytes] = OrderedDict()


@clean
def own_cache_of_1000_fills():
    BOUNDED[next(CALLS)] = bytes(100)
    if len(BOUNDED) > 1000:
        BOUNDED.popitem(last=False)


RING: deque[bytes] = deque(maxlen=5000)


@clean
def ring_buffer_of_5000_fills():
    RING.append(bytes(50))


BUFFER: list[bytes] = []


@clean
def buffer_that_is_flushed_every_500_calls():
    BUFFER.append(bytes(200))
    if len(BUFFER) >= 500:
        BUFFER.clear()


@clean
def interned_strings():
    return [sys.intern(f"name_{index}") for index in range(20)]


@clean
def log_records():
    log.warning("call %d", next(CALLS))


@clean
def warnings_shown():
    warnings.warn("the same text", stacklevel=1)


@clean
def exception_kept_in_a_local():
    try:
        {}["missing"]
    except KeyError as error:
        kept = error  # a cycle: error, traceback, frame
        return str(kept)


@clean
def reference_cycles():
    first, second = Node(), Node()
    first.other, second.other = second, first


@clean
def reference_cycles_with_finalizers():
    node = Node()
    node.other = node
    weakref.finalize(node, len, "abc")


@clean
def unfinished_generator():
    return next(index for index in range(100))


@clean
def json_and_pickle():
    return pickle.loads(pickle.dumps(json.loads(json.dumps({"rows": list(range(200))}))))


@clean
def classes_made_anew():
    return make_dataclass("Point", ["x", "y"])(1, 2), Enum("Color", "RED GREEN").RED


@clean
def code_compiled_under_ever_new_names():  # which the tracer keeps
    exec(compile("def f(): return [1]\nf()", f"<code {next(CALLS)}>", "exec"), {})


@clean
def dates_parsed():
    return datetime.strptime("2026-01-02", "%Y-%m-%d")


@clean
def files_closed():
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")


@clean
def sqlite_closed():
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        return connection.execute("select 1").fetchall()


@clean
def sockets_closed():
    for end in socket.socketpair():
        end.close()


@clean
def threads_joined():
    thread = threading.Thread(target=temporaries)
    thread.start()
    thread.join()


POOL = ThreadPoolExecutor(2)


@clean
def thread_pool_used():
    return POOL.submit(temporaries).result()


@clean
def child_process_waited_for():
    return subprocess.run(["true"], check=True)


NAMES: weakref.WeakValueDictionary[int, Node] = weakref.WeakValueDictionary()


@clean
def weak_values():
    node = Node()
    NAMES[next(CALLS)] = node


@clean
def address_space_given_back():
    mmap.mmap(-1, 1 << 20).close()


@clean
def descriptor_in_a_cycle():
    node = Node()
    node.other = [node, DEV_NULL.open()]  # closed by the collector


@clean
async def async_gather():
    await asyncio.gather(*(asyncio.sleep(0) for _ in range(5)))


@clean
async def async_task_cancelled():
    asyncio.ensure_future(asyncio.sleep(100)).cancel()


@clean
async def async_callback_for_later():
    asyncio.get_running_loop().call_soon(len, "abc")


# ---------------------------------------------------------------- leaking


@leaks("memory")
def keeps_64_bytes():
    KEPT.append(bytes(31))


@leaks("memory")
def keeps_1_kib():
    KEPT.append(bytes(991))


@leaks("memory")
def keeps_100_kib():
    KEPT.append(bytes(102_367))


@leaks("memory")
def keeps_64_bytes_every_10th_call():
    if next(CALLS) % 10 == 0:
        KEPT.append(bytes(31))


@leaks("memory")
def keeps_1_kib_every_10th_call():
    if next(CALLS) % 10 == 0:
        KEPT.append(bytes(991))


@leaks("memory")
def keeps_100_kib_every_10th_call():
    if next(CALLS) % 10 == 0:
        KEPT.append(bytes(102_367))


@leaks("memory")
def keeps_64_bytes_under_jitter():
    KEPT.append(bytes(31))
    last_result_is_kept()


@leaks("memory")
def keeps_1_kib_under_jitter():
    KEPT.append(bytes(991))
    last_result_is_kept()


@leaks("memory")
def keeps_64_bytes_under_a_filling_cache():
    KEPT.append(bytes(31))
    regex_cache()
    lru_cache_fills()


@leaks("memory")
def keeps_1_kib_under_a_filling_cache():
    KEPT.append(bytes(991))
    own_cache_of_1000_fills()


@leaks("memory")
def keeps_1_kib_in_another_thread():
    thread = threading.Thread(target=keeps_1_kib)
    thread.start()
    thread.join()


@leaks("memory")
async def keeps_1_kib_in_an_async_function():
    await asyncio.sleep(0)
    keeps_1_kib()


class Service:
    @functools.cache  # noqa: B019  # the leak
    def answer(self):
        return 42


@leaks("memory")
def unbounded_cache_keeps_instances():
    return Service().answer()


@leaks("memory")
def log_handler_added_every_call():
    log.addHandler(logging.NullHandler())


@leaks("memory")
def warnings_with_ever_new_texts():  # the module's __warningregistry__ keeps each of them
    warnings.warn(f"call {next(CALLS)}", stacklevel=1)


@leaks("memory")
def closure_registered_every_call():
    KEPT.append(lambda: KEPT)


@leaks("memory")
async def timer_in_an_hour_every_call():
    asyncio.get_running_loop().call_later(3600, len, "abc")


@leaks("files")
def file_left_open():
    KEPT.append(DEV_NULL.open())


@leaks("files")
def raw_descriptor_left_open():
    os.open(os.devnull, os.O_RDONLY)


@leaks("files")
def file_left_open_every_10th_call():
    if next(CALLS) % 10 == 0:
        file_left_open()


@leaks("sockets")
def socket_left_open():
    KEPT.append(socket.socket())


@leaks("threads")
def thread_that_never_ends():
    threading.Thread(target=threading.Event().wait, daemon=True).start()


@leaks("native-threads")
def native_thread_that_never_ends():
    lock = _thread.allocate_lock()
    lock.acquire()
    _thread.start_new_thread(lock.acquire, ())


@leaks("tasks")
async def task_that_never_ends():
    KEPT.append(asyncio.ensure_future(asyncio.sleep(10_000)))


@leaks("children")
def child_process_left_running():
    KEPT.append(subprocess.Popen(["sleep", "20"]))


class ConnectionPool:
    """Creates a connection if none is idle."""

    def __init__(self):
        self.idle = queue.SimpleQueue()
        self.lent = weakref.WeakSet()
        self.folder = tempfile.mkdtemp()

    def acquire(self):
        connection = sqlite3.connect(f"{self.folder}/pool.db", factory=Connection, check_same_thread=False)
        connection.execute("create table if not exists t (a)")
        self.lent.add(connection)
        return connection


class Connection(sqlite3.Connection):
    pass


POOLED = ConnectionPool()


@leaks("connections")
def pooled_connection_not_given_back():
    KEPT.append(POOLED.acquire())


@leaks("native")
def ctypes_malloc():
    LIBC.malloc(100)


@leaks("native")
def ctypes_malloc_every_10th_call():
    if next(CALLS) % 10 == 0:
        LIBC.malloc(100)


@leaks("mapped")
def raw_mmap():
    LIBC.mmap(None, 65536, 3, 0x22, -1, 0)


@leaks("memory")
def mmap_object_kept():
    KEPT.append(mmap.mmap(-1, 65536))


# ---------------------------------------------------------------- unseen


GROWING = bytearray()


@unseen("2 bytes per call are below the floor of 4")
def grows_by_2_bytes():
    GROWING.extend(b"xy")


@unseen("one in 1,000 calls is rarer than a check of 100 to 400 calls can tell from a single event")
def keeps_1_kib_every_1000th_call():
    if next(CALLS) % 1000 == 999:
        keeps_1_kib()


@unseen("it grows in another process")
def another_process_grows():
    if not hasattr(another_process_grows, "child"):
        program = "import sys; kept = []\nfor line in sys.stdin: kept.append(bytes(10_000)); print(flush=True)"
        pipe = subprocess.PIPE
        another_process_grows.child = subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe)
    another_process_grows.child.stdin.write(b"\n")
    another_process_grows.child.stdin.flush()
    another_process_grows.child.stdout.readline()


@unseen("the first call of a process is warm-up")
def keeps_1_mib_once():
    if not KEPT:
        KEPT.append(bytes(1 << 20))


class Case(NamedTuple):
    function: object
    expected: str
    """Return `clean`, the kind that leaks, or `unseen`."""
    remark: str = ""


CASES = {
    **{name: Case(function, "clean") for name, function in CLEAN.items()},
    **{name: Case(function, kind) for name, (function, kind) in LEAKING.items()},
    **{name: Case(function, "unseen", reason) for name, (function, reason) in UNSEEN.items()},
}


def clean_up():
    """Release what the leaking functions have left."""
    for thing in KEPT:
        if isinstance(thing, subprocess.Popen):
            thing.kill()
            thing.wait()
    KEPT.clear()
    gc.collect()
