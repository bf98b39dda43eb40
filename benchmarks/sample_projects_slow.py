"""The rest of verdicts.py's sample projects: slow calls, calls through more frames, and a large suite."""

from __future__ import annotations

# Calls of about 5, 50 and 300 ms, one that sleeps for 20 ms, and one that does both.
SLOW_LIBRARY = """
import time

REPEAT = 20
PAIRS = [((n * 7919) % 1009, str(n)) for n in range(1_009)]
WORDS = "the quick brown fox jumps over the lazy dog and runs away".split() * 20


def strings(count=2_400):
    for number in range(count):
        str(number * number)


def order():
    for _ in range(20):
        sorted(PAIRS, key=lambda pair: (pair[1], pair[0]))


def count():
    for _ in range(1_200):
        counts = {}
        for word in WORDS:
            counts[word] = counts.get(word, 0) + 1


def wait():
    time.sleep(0.001)


def wait_and_work():
    time.sleep(0.000_5)
    strings(2_400)
"""

SLOW_TESTS = """
import pytest
import library
from library import REPEAT

pytestmark = pytest.mark.perf
copies = pytest.mark.parametrize("copy", range(COPIES))


@copies
@pytest.mark.parametrize("kind", ["strings", "order", "count", "wait", "wait_and_work"])
def test_slow(kind, copy):
    work = getattr(library, kind)
    for _ in range(REPEAT):
        work()
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

# The same library on both sides, called through FRAMES more frames by the head: calls of 0.6 to 1 ms of nested Python
# calls. 24 frames cost them 0 to 2.5 % in truth (slices of both in turn at all offsets of the stack): they reach the end of
# a chunk of the interpreter's stack more often, and an exception that passes them makes an object of each.
FRAMES_LIBRARY = """
FRAMES = 0


def through(count, work):
    return through(count - 1, work) if count else work()


class Failed(Exception):
    pass


class Parser:
    def parse(self, text, at):
        if at > len(text):
            raise Failed
        return self.attempt(text, at)


class Number(Parser):
    def attempt(self, text, at):
        end = at
        while end < len(text) and text[end].isdigit():
            end += 1
        if end == at:
            raise Failed
        return int(text[at:end]), end


class Symbol(Parser):
    def __init__(self, text):
        self.text = text

    def attempt(self, text, at):
        if not text.startswith(self.text, at):
            raise Failed
        return self.text, at + len(self.text)


class Sequence(Parser):
    def __init__(self, *parts):
        self.parts = parts

    def attempt(self, text, at):
        values = []
        for part in self.parts:
            value, at = part.parse(text, at)
            values.append(value)
        return values, at


class Choice(Parser):
    def __init__(self, *parts):
        self.parts = parts

    def attempt(self, text, at):
        for part in self.parts:
            try:
                return part.parse(text, at)
            except Failed:
                pass
        raise Failed


class Many(Parser):
    def __init__(self, part):
        self.part = part

    def attempt(self, text, at):
        values = []
        while True:
            try:
                value, at = self.part.parse(text, at)
            except Failed:
                return values, at
            values.append(value)


class Forward(Parser):
    def attempt(self, text, at):
        return self.target.parse(text, at)


expression = Forward()
atom = Choice(Number(), Sequence(Symbol("("), expression, Symbol(")")))
expression.target = Sequence(atom, Many(Sequence(Choice(Symbol("+"), Symbol("-")), atom)))


def repeated(work):
    for _ in range(5):
        work()


def flat():
    return expression.parse("1" + "+2-3" * 40, 0)


def nested():
    return expression.parse("1" + "+(2-(3+4)-5)" * 10, 0)


def deep():
    return expression.parse("(" * 30 + "1" + ")" * 30, 0)


def leaf(number):
    return number + 1


def descend(depth=5):
    if depth:
        return descend(depth - 1)
    number = 0
    for _ in range(4_000):
        number = leaf(number)
    return number
"""

FRAMES_TESTS = """
import pytest
import library

pytestmark = pytest.mark.perf
copies = pytest.mark.parametrize("copy", range(COPIES))


@copies
@pytest.mark.parametrize("kind", ["flat", "nested", "deep", "descend"])
def test_through_frames(kind, copy):
    library.through(library.FRAMES, lambda: library.repeated(getattr(library, kind)))
"""

# A suite of which a few tests are marked, with a conftest that computes (it compiles and executes generated classes) for
# as many seconds as it should take to import.
LARGE_CONFTEST = """
import time

SOURCE = "".join(f"class C{n}:\\n    def method(self, a, b={n}):\\n        return [a, b, {n}]\\n" for n in range(200))
end = time.monotonic() + SECONDS
while time.monotonic() < end:
    exec(compile(SOURCE, "generated", "exec"), {})
"""

LARGE_TESTS = """
import pytest


@pytest.mark.parametrize("number", range(COUNT))
def test_plain(number):
    assert number >= 0
"""

LARGE_MARKED = """

@pytest.mark.perf
def test_marked():
    assert sorted(str(number * number) for number in range(100))
"""

BUDGET_TESTS = """
import pytest


@pytest.mark.perf
@pytest.mark.parametrize("number", range(COUNT))
def test_trivial(number):
    assert number >= 0
"""
