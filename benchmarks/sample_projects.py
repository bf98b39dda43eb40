"""Sample projects with exact slowdowns, for verdicts.py: calls of 20 ns to 3 ms here, slower ones in sample_projects_slow.py.

Each project is a module `library` and a module of tests. A test repeats one unit of work REPEAT times, and 20 units are the
baseline's: 21 units are 5 % slower, 22 are 10 %, 26 are 30 %, 30 are 50 %, 40 are twice and 100 five times as slow. COPIES
stands for the number of tests of each kind.
"""

from __future__ import annotations

from typing import NamedTuple

from sample_projects_slow import FRAMES_LIBRARY, FRAMES_TESTS, LONG_LIBRARY, LONG_TESTS, SLOW_LIBRARY, SLOW_TESTS


class Project(NamedTuple):
    """Sources of a project, and how its slowdown is set and known."""

    library: str
    tests: str
    constant: str = "REPEAT"
    """The constant of the library that differs between base and head."""
    measured_truth: bool = False
    """Are the calls so short that their true ratio must be measured (true_ratios.py), not read off the constant?"""


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

# Calls of about 20 ns (test_scan), 100 ns (test_move, test_letters) and 0.2 to 0.5 us (test_sum, test_loop, test_calls). The
# call itself takes a part of such a time, so the true ratio is measured; a unit is chosen to be about 5 % nevertheless.
# CALLS names the measured call of each test. The copies are made by a fixture that no test takes as an argument, so that
# the tests are called without any.
TINY_LIBRARY = """
REPEAT = 20
MORE = REPEAT - 20


def leaf(value):
    return value


scan = (b"a" * (12 + 2 * MORE)).isalpha
letters = b"a" * (80 + 9 * MORE)
numbers = [1] * (40 + 3 * MORE)
loops = range(20 + 2 * MORE)
calls = range(12 + MORE)
source = "def move(here=1, there=2):" + (32 + 2 * MORE) * "\\n    here = there"
exec(source)
"""

TINY_TESTS = """
import pytest
import library
from library import calls, leaf, letters, loops, numbers

pytestmark = pytest.mark.perf


@pytest.fixture(params=range(COPIES), autouse=True)
def copy(request):
    pass


def test_scan(perf_monitor):
    perf_monitor.measure(library.scan)


def test_move(perf_monitor):
    perf_monitor.measure(library.move)


def test_letters():
    letters.isalpha()


def test_sum():
    sum(numbers)


def test_loop():
    for _ in loops:
        pass


def test_calls():
    for _ in calls:
        leaf(1)


CALLS = {
    "test_scan": library.scan, "test_move": library.move, "test_letters": test_letters,
    "test_sum": test_sum, "test_loop": test_loop, "test_calls": test_calls,
}
"""

# Calls of 0.3 to 3 ms.
MEDIUM_LIBRARY = """
import heapq, json, re, sqlite3, zlib
from decimal import Decimal

REPEAT = 20
DOCUMENT = json.dumps([{"id": n, "name": f"name {n}", "tags": ["a", "b"], "price": n * 1.25} for n in range(30)])
PROSE = "the order of 12 apples, sent on 2024-05-06 to nobody@example.org; " * 8
DATE = re.compile("([0-9]{4})-([0-9]{2})-([0-9]{2})")
PRICES = [Decimal(n) / 7 for n in range(60)]


class Node:
    __slots__ = ("left", "right", "value")

    def __init__(self, left, right, value):
        self.left, self.right, self.value = left, right, value


def parse():
    return json.loads(DOCUMENT)


def substitute():
    return DATE.sub(lambda match: "/".join(reversed(match.groups())), PROSE)


def decimals():
    return sum(price * 3 for price in PRICES)


def grow(depth):
    return Node(grow(depth - 1), grow(depth - 1), depth) if depth else None


def total(node):
    return total(node.left) + total(node.right) + node.value if node else 0


def tree():
    return total(grow(6))


def text():
    return "; ".join(f"{number:>6} {number * 1.5:.2f} {number % 7}" for number in range(60))


def compress():
    return zlib.compress(PROSE.encode(), 6)


def heap():
    items = []
    for number in range(80):
        heapq.heappush(items, number * 7919 % 101)
    return [heapq.heappop(items) for _ in range(80)]


def connect():
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.execute("create table t (a integer, b text)")
    return database


def rows(database):
    database.executemany("insert into t values (?, ?)", [(n, str(n)) for n in range(20)])
    found = database.execute("select b, count(*) from t where a > 3 group by b").fetchall()
    database.execute("delete from t")
    return found
"""

MEDIUM_TESTS = """
import pytest
import library
from library import REPEAT

pytestmark = pytest.mark.perf
copies = pytest.mark.parametrize("copy", range(COPIES))


@copies
@pytest.mark.parametrize("kind", ["parse", "substitute", "decimals", "tree", "text", "compress", "heap"])
def test_work(kind, copy):
    work = getattr(library, kind)
    for _ in range(REPEAT):
        work()


@pytest.fixture
def database():
    connection = library.connect()
    yield connection
    connection.close()


@copies
def test_sqlite(database, copy):
    for _ in range(REPEAT):
        library.rows(database)
"""

PROJECTS = {
    "short": Project(SHORT_LIBRARY, SHORT_TESTS),
    "tiny": Project(TINY_LIBRARY, TINY_TESTS, measured_truth=True),
    "medium": Project(MEDIUM_LIBRARY, MEDIUM_TESTS),
    "slow": Project(SLOW_LIBRARY, SLOW_TESTS),
    "long": Project(LONG_LIBRARY, LONG_TESTS),
    "frames": Project(FRAMES_LIBRARY, FRAMES_TESTS, constant="FRAMES"),
}
