"""The pipe's messages: round trips, and nothing but them is understood."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.core.errors import ProtocolError
from pytest_perfguard.engine.leaks.results import Leak, LeakReport
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureRequest, MeasureResult
from pytest_perfguard.engine.runner.protocol import (
    CheckLeaks,
    FinishedTest,
    Hello,
    LeakCheckResult,
    PointReached,
    Ready,
    RecheckLeaks,
    Resume,
    ServeTest,
    SetAffinity,
    Shutdown,
    decode,
    encode,
)

texts = st.text(st.characters(codec=None))
whole = st.integers(-(2**63) + 1, 2**63 - 1)
amounts = st.floats(-1e299, 1e299)
names = st.dictionaries(texts, texts)
messages = st.one_of(
    st.builds(Hello, st.lists(texts), st.lists(texts), texts),
    st.builds(Ready, st.lists(texts), st.lists(texts), st.lists(texts), st.booleans(), st.booleans(), texts, names),
    st.builds(SetAffinity, whole),
    st.builds(ServeTest, texts, texts),
    st.builds(PointReached, texts),
    st.builds(MeasureRequest, texts, whole, whole, st.booleans(), whole),
    st.builds(MeasureResult, st.dictionaries(texts, st.lists(whole, min_size=1))),
    st.builds(CallRaised, texts),
    st.builds(CheckLeaks, whole, amounts),
    st.builds(RecheckLeaks, texts, texts, texts, st.dictionaries(texts, amounts), whole, amounts),
    st.builds(
        LeakCheckResult,
        st.builds(
            LeakReport,
            whole,
            st.lists(st.builds(Leak, texts, amounts, st.lists(texts))),
            st.dictionaries(texts, amounts),
            texts,
            whole,
            whole,
            st.lists(texts),
            st.dictionaries(texts, amounts),
            whole,
            names,
        ),
    ),
    st.builds(FinishedTest, texts, names),
    st.just(Resume()),
    st.just(Shutdown()),
)


FOUND = vars(LeakReport(1))
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.just(10**400),
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=4,
)


@given(messages, st.data())
def test_any_damage_is_refused_or_understood(message, data):
    """One field, or a part of it, is something else."""
    content = part = json.loads(encode(message))
    key = data.draw(st.sampled_from(sorted(part)))
    while isinstance(part[key], dict) and part[key] and data.draw(st.booleans()):
        part = part[key]
        key = data.draw(st.sampled_from(sorted(part)))
    part[key] = data.draw(anything)
    try:
        decode(json.dumps(content).encode())
    except ProtocolError:
        pass


@given(messages)
def test_what_is_said_is_understood(message):
    assert decode(encode(message)) == message


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | whole | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)
    ).map(lambda value: json.dumps(value).encode())
)
def test_anything_else_is_refused_by_name(data):
    with pytest.raises(ProtocolError, match="not a message"):
        decode(data)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"type": "PointReached"}, r"PointReached has the fields \[\], expected \['label', 'memory'\]"),
        ({"type": "PointReached", "label": 5, "memory": True}, "PointReached.label is 5, expected str"),
        ({"type": "PointReached", "label": "", "more": 1}, "PointReached has the fields"),
        (
            {
                "type": "MeasureRequest",
                "instrument": "time",
                "iterations": 1.5,
                "rounds": 1,
                "rival": False,
                "first_round": 0,
            },
            "MeasureRequest.iterations is 1.5, expected int",
        ),
        (
            {
                "type": "MeasureRequest",
                "instrument": "time",
                "iterations": True,
                "rounds": 1,
                "rival": False,
                "first_round": 0,
            },
            "MeasureRequest.iterations is True",
        ),
        ({"type": "MeasureResult", "values": {"time": []}, "user_totals": {}}, "MeasureResult.values is"),
        ({"type": "MeasureResult", "values": {"time": [1.5]}, "user_totals": {}}, "MeasureResult.values is"),
        ({"type": "MeasureResult", "values": {}, "user_totals": {"time:db": [None]}}, "MeasureResult.user_totals is"),
        ({"type": "MeasureResult", "values": {}, "user_totals": {"time:db": []}}, "MeasureResult.user_totals is"),
        (
            {"type": "MeasureResult", "values": {}, "user_totals": {"time:db": [10**400]}},
            "MeasureResult.user_totals is",
        ),
        ({"type": "MeasureResult", "values": {"time": [10**400]}, "user_totals": {}}, "MeasureResult.values is"),
        ({"type": "LeakCheckResult", "report": 5}, "LeakReport is 5, expected an object"),
        (
            {"type": "LeakCheckResult", "report": {}},
            r"LeakReport has the fields \[\], expected \['calls', 'growth', 'leaks', 'notes'",
        ),
        ({"type": "LeakCheckResult", "report": {**FOUND, "leaks": 5}}, "LeakReport.leaks is 5, expected a list"),
        (
            {"type": "LeakCheckResult", "report": {**FOUND, "leaks": [{"kind": "x"}]}},
            r"Leak has the fields \['kind'\]",
        ),
        ({"type": "LeakCheckResult", "report": {**FOUND, "growth": {"x": "y"}}}, "LeakReport.growth is"),
        ({"type": "__import__"}, "not a message of this protocol"),
        ({"type": ["PointReached"]}, "not a message of this protocol"),
    ],
)
def test_a_wrong_field_is_named(content, problem):
    """The other side may run another version."""
    with pytest.raises(ProtocolError, match=problem):
        decode(json.dumps(content).encode())
