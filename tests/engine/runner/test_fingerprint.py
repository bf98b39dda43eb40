"""Fingerprints: equal for one test in every process, different for different ones."""

from __future__ import annotations

import datetime
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache, partial, wraps
from operator import itemgetter, methodcaller
from pathlib import Path

import pytest

from pytest_perfguard.engine.runner.stable_repr import MAX_ITEMS, StableRepr
from pytest_perfguard.engine.runner.test_identity import difference, fingerprint


def small(): ...


def big(): ...


class Plain:
    def __init__(self, value=None):
        self.value = value

    def method(self): ...


class Slotted:
    __slots__ = ("unset", "value")

    def __init__(self, value):
        self.value = value


class Hostile:
    """All of its own code raises."""

    def __init__(self, value):
        object.__setattr__(self, "value", value)

    def _raise(self, *_arguments):
        raise RuntimeError("called")

    __repr__ = __eq__ = __hash__ = __getattr__ = __getattribute__ = __len__ = __iter__ = __bool__ = __setattr__ = _raise


class Listing(list):
    def __iter__(self):
        raise RuntimeError("called")


@dataclass
class Data:
    value: object


class Colour(Enum):
    RED = 1
    BLUE = 2


Pair = namedtuple("Pair", "one other")


def text(value, root=""):
    return StableRepr(root).value(value)


def closure(value):
    return lambda: value


def default(value):
    def inner(value=value):
        return value

    return inner


def decorated(function):
    @wraps(function)
    def wrapper():
        return function()

    return wrapper


MAKERS = {
    "object": Plain, "slots": Slotted, "hostile": Hostile, "dataclass": Data, "list": lambda value: [value],
    "tuple": lambda value: (value,), "set": lambda value: {value}, "dict": lambda value: {"key": value},
    "key": lambda value: {value: 1}, "nested": lambda value: [{"a": (Plain(value),)}], "partial": lambda value: partial(print, value),
    "method": lambda value: Plain(value).method, "closure": closure, "default": default, "deque": lambda value: deque([value]),
    "list of its own": lambda value: Listing([value]), "ordered": lambda value: OrderedDict(a=value),
    "defaultdict": lambda value: defaultdict(int, a=value), "named": lambda value: Pair(1, value),
}  # fmt: skip


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize(
    ("one", "other"), [(1, 2), ("a", "b"), (small, big), (Colour.RED, Colour.BLUE), (1.0, 2.0), (1, True)]
)
def test_values_differ_where_what_they_hold_differs(maker, one, other):
    make = MAKERS[maker]
    assert text(make(one)) == text(make(one))
    assert text(make(one)) != text(make(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: small(), lambda: big()),
        (lambda: small(), lambda: small(1)),
        (Path("a"), Path("b")),
        (int, str),
        (len, max),
        ([].append, [].pop),
        (os, sys),
        (datetime.datetime(2020, 1, 1), datetime.datetime(2021, 1, 1)),
        (datetime.timedelta(1), datetime.timedelta(2)),
        (lru_cache(small), lru_cache(big)),
        (decorated(small), decorated(big)),
        (range(3), range(4)),
        (itemgetter(1), itemgetter(2)),
        (methodcaller("a"), methodcaller("b")),
        (b"a", b"b"),
        (None, False),
        ([1] * (MAX_ITEMS + 1), [1] * (MAX_ITEMS + 2)),
        (10**400, 10**400 + 1),
        (float("nan"), float("inf")),
    ],
)
def test_different_values_differ(one, other):
    assert text(one) != text(other)


@pytest.mark.parametrize(
    "make",
    [
        object, uuid.uuid4, time.time, time.time_ns, time.perf_counter, threading.Lock, random.Random, tempfile.mkdtemp,
        datetime.datetime.now,
        lambda: uuid.uuid4().hex, lambda: f"<Codec at {hex(id(object()))}> {uuid.uuid4()}", lambda: os.urandom(100),
        lambda: [random.SystemRandom().random() for _ in range(100)], lambda: (number for number in ()),
        lambda: Plain(Plain(uuid.uuid4())), time.localtime, lambda: f"made {datetime.datetime.now()}",
    ],
)  # fmt: skip
def test_what_passes_with_the_process_does_not_count(make):
    assert text(make()) == text(make())


def test_what_a_library_keeps_to_itself_does_not_count():
    one, other = threading.Event(), threading.Event()
    other._flag = True
    assert text(one) == text(other)
    assert text(Plain(1)) != text(Plain(2))
    assert text(partial(print, end="")) != text(partial(print, end="x"))


def test_the_place_of_the_project_does_not_count(tmp_path):
    head, base = tmp_path / "head", tmp_path / "base"
    assert text([head / "data", str(head)], str(head)) == text([base / "data", str(base)], str(base))
    assert text(head / "one", str(head)) != text(head / "other", str(head))


def test_what_holds_itself_or_is_endless_comes_to_an_end():
    loop = Plain()
    loop.value = [loop, loop]
    chain = Plain()
    for _ in range(10_000):
        chain = Plain(chain)
    wide = [[list(range(30)) for _ in range(30)] for _ in range(30)]
    for value in (loop, chain, wide):
        assert len(text(value)) < 100_000


def test_a_difference_is_named():
    one = fingerprint(small, {"job": Plain(1), "n": 1})
    assert difference(one, fingerprint(small, {"job": Plain(1), "n": 1})) is None
    assert difference(one, fingerprint(small, {"job": Plain(2), "n": 1})) == "parameter job"
    assert difference(one, fingerprint(small, {"job": Plain(2), "n": 1}), by_kind=True) is None
    assert difference(one, fingerprint(small, {"job": [2], "n": 1}), by_kind=True) == "parameter job"
    assert difference(fingerprint(small, {"f": small}), fingerprint(small, {"f": big}), by_kind=True) == "parameter f"
    assert difference(one, fingerprint(small, {"n": 1})) == "parameter job"
    assert difference(one, fingerprint(big, {"job": Plain(1), "n": 1})) == "source"


PROGRAM = """
import sys; sys.path.insert(0, {root!r})
from pytest_perfguard.engine.runner.stable_repr import StableRepr
def f(a={{"x", "y", "z"}}): return lambda: a
class C: pass
c = C(); c.s = frozenset("abcdef"); c.d = {{name: object() for name in set("abcdef")}}; c.f = f(); c.c = C
print(StableRepr("").value(c))
"""


def test_the_hash_seed_does_not_count():
    root = str(Path(__file__).parents[3])
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM.format(root=root)], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(outputs) == 1
