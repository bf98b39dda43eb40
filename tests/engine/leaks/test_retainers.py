"""The shortest chain of references, as text."""

from __future__ import annotations

import sys
from collections import deque

import pytest

from pytest_perfguard.engine.leaks.reference_graph import ReferenceGraph, type_name
from pytest_perfguard.engine.leaks.retainers import HeapCensus, find_retainers, take_census

HERE = __name__


class Registry:
    handlers: list[object] = []  # noqa: RUF012

    def __init__(self):
        self.by_name = {}


class Slotted:
    __slots__ = ("items",)

    def __init__(self):
        self.items = deque()


REGISTRY = Registry()
SLOTTED = Slotted()
NESTED = {"a": [(), ({"deep": [[]]},)]}
CELLED = None


def make_closure():
    kept = []
    return lambda: kept


CELLED = make_closure()


@pytest.mark.parametrize(
    ("thing", "chain"),
    [
        (Registry.handlers, f"{HERE}.Registry.handlers"),
        (REGISTRY.by_name, f"{HERE}.REGISTRY.by_name"),
        (SLOTTED.items, f"{HERE}.SLOTTED.items"),
        (NESTED["a"][1][0]["deep"][0], f"{HERE}.NESTED['a'][1][0]['deep'][0]"),
    ],
    ids=["class attribute", "instance attribute", "slot", "nested"],
)
def test_a_chain_reads_like_an_expression(thing, chain):
    assert ReferenceGraph(HeapCensus).chain(thing) == chain


def test_a_closure_is_named():
    assert ReferenceGraph(HeapCensus).chain(CELLED()) == f"{HERE}.CELLED closure kept"


def test_a_local_of_a_running_function_is_named():
    only_here = [object()]
    assert ReferenceGraph(HeapCensus).chain(only_here) == f"{sys._getframe().f_code.co_name}() local only_here"


def test_what_grew_is_named_with_its_rate_and_its_chain():
    class Node:
        pass

    Registry.handlers.clear()
    before = take_census()
    for index in range(40):
        Registry.handlers.append(Node())
        REGISTRY.by_name[f"n{index}"] = bytes(10)
    lines = [holder.line for holder in find_retainers(before, 20)]
    Registry.handlers.clear()
    REGISTRY.by_name.clear()
    assert f"{HERE}.Registry.handlers: a list of 40, 2 more per call" in lines
    assert f"{HERE}.REGISTRY.by_name: a dict of 40, 2 more per call" in lines
    assert f"2 {type_name(Node)} per call; one is {HERE}.Registry.handlers[39]" in lines


def test_nothing_that_grew_is_nothing():
    take_census()  # the walk itself fills caches when it runs for the first time
    before = take_census()
    assert list(find_retainers(before, 20)) == []
