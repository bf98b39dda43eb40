"""The pipe's messages: round trips, and nothing but them is understood."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.core.errors import ProtocolError
from pytest_perfguard.engine.leaks.findings import Examination, Leak
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
            Examination,
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


FOUND = vars(Examination(1))
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
        ({"say": "PointReached"}, r"PointReached has the fields \[\], expected \['label', 'memory'\]"),
        ({"say": "PointReached", "label": 5, "memory": True}, "PointReached.label is 5, expected str"),
        ({"say": "PointReached", "label": "", "more": 1}, "PointReached has the fields"),
        (
            {"say": "MeasureRequest", "instrument": "time", "iterations": 1.5, "rounds": 1, "rival": False, "place": 0},
            "MeasureRequest.iterations is 1.5, expected int",
        ),
        (
            {
                "say": "MeasureRequest",
                "instrument": "time",
                "iterations": True,
                "rounds": 1,
                "rival": False,
                "place": 0,
            },
            "MeasureRequest.iterations is True",
        ),
        ({"say": "MeasureResult", "values": {"time": []}, "recorded": {}}, "MeasureResult.values is"),
        ({"say": "MeasureResult", "values": {"time": [1.5]}, "recorded": {}}, "MeasureResult.values is"),
        ({"say": "MeasureResult", "values": {}, "recorded": {"time:db": [None]}}, "MeasureResult.recorded is"),
        ({"say": "MeasureResult", "values": {}, "recorded": {"time:db": []}}, "MeasureResult.recorded is"),
        ({"say": "MeasureResult", "values": {}, "recorded": {"time:db": [10**400]}}, "MeasureResult.recorded is"),
        ({"say": "MeasureResult", "values": {"time": [10**400]}, "recorded": {}}, "MeasureResult.values is"),
        ({"say": "LeakCheckResult", "examination": 5}, "Examination is 5, expected an object"),
        (
            {"say": "LeakCheckResult", "examination": {}},
            r"Examination has the fields \[\], expected \['calls', 'growth', 'keepers', 'leaks'",
        ),
        ({"say": "LeakCheckResult", "examination": {**FOUND, "leaks": 5}}, "Examination.leaks is 5, expected a list"),
        (
            {"say": "LeakCheckResult", "examination": {**FOUND, "leaks": [{"kind": "x"}]}},
            r"Leak has the fields \['kind'\]",
        ),
        ({"say": "LeakCheckResult", "examination": {**FOUND, "growth": {"x": "y"}}}, "Examination.growth is"),
        ({"say": "__import__"}, "not a message of this protocol"),
        ({"say": ["PointReached"]}, "not a message of this protocol"),
    ],
)
def test_a_wrong_field_is_named(content, problem):
    """The other side may run another version."""
    with pytest.raises(ProtocolError, match=problem):
        decode(json.dumps(content).encode())
