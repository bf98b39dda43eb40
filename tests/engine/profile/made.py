"""Profiles for tests, made from a few words."""

from __future__ import annotations

from pytest_perfguard.engine.profile.charges import Side
from pytest_perfguard.engine.profile.model import CallProfile, Cost, Edge, Function, StackSamples

US = 1e-6


def ours(name, file="rules.py"):
    return Function(file, name, ours=True)


def library(name, module="json"):
    return Function(module, name, ours=False)


TEST = ours("test_total", "test_prices.py")
TOTAL = ours("total", "prices.py")
MATCH = ours("match")
PRICE = ours("price", "prices.py")
DUMPS = library("dumps")
COMPILE = library("compile", "re")


def profile(costs, edges=(), *, threads=0, lines=None):
    """`costs`: function -> (calls, own us, cumulative us); `edges`: (caller, callee) -> (calls, us)."""
    lines = lines or {}
    return CallProfile(
        {
            function: Cost(calls, own * US, cumulative * US, lines.get(function, 10), lines.get(function, 10) + 5)
            for function, (calls, own, cumulative) in costs.items()
        },
        {pair: Edge(calls, seconds * US) for pair, (calls, seconds) in dict(edges).items()},
        threads,
    )


def side(costs, edges=(), *, seconds=None, stacks=None, **more):
    """One side whose measured seconds are the profile's, unless given, in us."""
    made = profile(costs, edges, **more)
    total = sum(own for _calls, own, _cumulative in costs.values()) if seconds is None else seconds
    samples = StackSamples(stacks or {}, total * US)
    return Side(made, made, samples, total * US)


BASE_PROFILE = profile({TOTAL: (1, 20, 60), MATCH: (40, 40, 40)}, {(TOTAL, MATCH): (40, 40)})
SAMPLES = StackSamples({(TOTAL,): 3, (TOTAL, MATCH): 5}, 60 * US)
