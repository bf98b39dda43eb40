"""The projects that verdicts.py judges: in each test REPEAT units of work, of which 20 are the baseline's."""

from __future__ import annotations

SHORT_LIBRARY = """
import asyncio, json, sqlite3

REPEAT = 20
DOCUMENT = {"name": "x" * 20, "values": list(range(12)), "nested": {"a": [1.5, None, True]}}


class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y


def arithmetic():
    total = 0
    for number in range(60):
        total += number * number % 7
    return total


def parse():
    return json.loads(json.dumps(DOCUMENT))


def allocate():
    return [Point(number, str(number)) for number in range(20)]


def attributes(points=[Point(n, n) for n in range(60)]):
    return sum(point.x + point.y for point in points)


def order(values=[(n * 7919) % 101 for n in range(60)]):
    return sorted(values, key=lambda value: -value)


def connect():
    database = sqlite3.connect(":memory:")
    database.execute("create table t (a integer, b text)")
    database.executemany("insert into t values (?, ?)", [(n, str(n)) for n in range(50)])
    return database


def query(database):
    return database.execute("select count(*), max(b) from t where a > 10").fetchall()


def read(path):
    with open(path, "rb") as stream:
        return stream.read()


async def ping():
    await asyncio.sleep(0)
"""

SHORT_TESTS = """
import pytest
import library
from library import REPEAT

pytestmark = pytest.mark.perf
copies = pytest.mark.parametrize("copy", range(COPIES))


@pytest.fixture
def database():
    connection = library.connect()
    yield connection
    connection.close()


@copies
@pytest.mark.parametrize("kind", ["arithmetic", "parse", "allocate", "attributes", "order"])
def test_cpu(kind, copy):
    work = getattr(library, kind)
    for _ in range(REPEAT):
        work()


@copies
def test_sqlite(database, copy):
    for _ in range(REPEAT):
        library.query(database)


@copies
def test_file(tmp_path, copy):
    path = tmp_path / "file"
    if not path.exists():
        path.write_bytes(b"x" * 4096)
    for _ in range(REPEAT):
        library.read(path)


@copies
@pytest.mark.anyio
async def test_async(copy):
    for _ in range(REPEAT):
        await library.ping()


@pytest.fixture
def anyio_backend():
    return "asyncio"
"""

LONG_LIBRARY = """
import hashlib, socket, subprocess, sys, threading, time

REPEAT = 20


def compute(milliseconds):
    for _ in range(REPEAT):
        for number in range(round(milliseconds * 3_000)):
            str(number * number)


def wait():
    for _ in range(REPEAT):
        time.sleep(0.0005)


def talk(connection):
    for _ in range(REPEAT):
        connection.sendall(b"x" * 64)
        connection.recv(64)


def in_parallel(data=b"x" * 400_000):
    def work():
        for _ in range(REPEAT):
            hashlib.sha256(data).digest()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def processes():
    program = f"for _ in range({REPEAT}): sum(range(60_000))"
    children = [subprocess.Popen([sys.executable, "-S", "-c", program]) for _ in range(2)]
    for child in children:
        child.wait()
"""

LONG_TESTS = """
import socket
import threading
import time

import pytest
import library

pytestmark = pytest.mark.perf(metrics="time")
copies = pytest.mark.parametrize("copy", range(COPIES))


@copies
@pytest.mark.parametrize("milliseconds", [1, 5, 20, 100])
def test_compute(milliseconds, copy):
    "Calls of about 5 ms to a second."
    library.compute(milliseconds)


@copies
def test_wait(copy):
    library.wait()


@pytest.fixture(scope="session")
def connection():
    time.sleep(1)  # a heavy fixture
    near, far = socket.socketpair()

    def echo():
        while data := far.recv(64):
            far.sendall(data)

    threading.Thread(target=echo, daemon=True).start()
    yield near
    near.close()


@copies
def test_socket(connection, copy):
    library.talk(connection)


@copies
def test_threads(copy):
    library.in_parallel()


@copies
def test_processes(copy):
    library.processes()
"""

#: name -> (library, tests)
PROJECTS = {"short": (SHORT_LIBRARY, SHORT_TESTS), "long": (LONG_LIBRARY, LONG_TESTS)}
