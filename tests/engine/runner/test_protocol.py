"""The pipe's messages: round trips, and nothing but them is understood."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.core.errors import ProtocolError
from pytest_perfguard.engine.leaks.findings import Examination, Leak
from pytest_perfguard.engine.measure.messages import Raised, Take, Taken
from pytest_perfguard.engine.runner.protocol import (
    Done,
    Examine,
    Found,
    GoOn,
    Hello,
    Pin,
    Point,
    Quit,
    Ready,
    Recheck,
    Serve,
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
    st.builds(Pin, whole),
    st.builds(Serve, texts, texts),
    st.builds(Point, texts),
    st.builds(Take, texts, whole, whole, st.booleans(), whole),
    st.builds(Taken, st.dictionaries(texts, st.lists(whole, min_size=1))),
    st.builds(Raised, texts),
    st.builds(Examine, whole, amounts),
    st.builds(Recheck, texts, texts, texts, st.dictionaries(texts, amounts), whole, amounts),
    st.builds(
        Found,
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
    st.builds(Done, texts, names),
    st.just(GoOn()),
    st.just(Quit()),
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
        ({"say": "Point"}, r"Point has the fields \[\], expected \['label', 'memory'\]"),
        ({"say": "Point", "label": 5, "memory": True}, "Point.label is 5, expected str"),
        ({"say": "Point", "label": "", "more": 1}, "Point has the fields"),
        (
            {"say": "Take", "instrument": "time", "iterations": 1.5, "rounds": 1, "rival": False, "place": 0},
            "Take.iterations is 1.5, expected int",
        ),
        (
            {"say": "Take", "instrument": "time", "iterations": True, "rounds": 1, "rival": False, "place": 0},
            "Take.iterations is True",
        ),
        ({"say": "Taken", "values": {"time": []}, "recorded": {}}, "Taken.values is"),
        ({"say": "Taken", "values": {"time": [1.5]}, "recorded": {}}, "Taken.values is"),
        ({"say": "Taken", "values": {}, "recorded": {"time:db": [None]}}, "Taken.recorded is"),
        ({"say": "Taken", "values": {}, "recorded": {"time:db": []}}, "Taken.recorded is"),
        ({"say": "Taken", "values": {}, "recorded": {"time:db": [10**400]}}, "Taken.recorded is"),
        ({"say": "Taken", "values": {"time": [10**400]}, "recorded": {}}, "Taken.values is"),
        ({"say": "Found", "examination": 5}, "Examination is 5, expected an object"),
        (
            {"say": "Found", "examination": {}},
            r"Examination has the fields \[\], expected \['calls', 'growth', 'keepers', 'leaks'",
        ),
        ({"say": "Found", "examination": {**FOUND, "leaks": 5}}, "Examination.leaks is 5, expected a list"),
        ({"say": "Found", "examination": {**FOUND, "leaks": [{"kind": "x"}]}}, r"Leak has the fields \['kind'\]"),
        ({"say": "Found", "examination": {**FOUND, "growth": {"x": "y"}}}, "Examination.growth is"),
        ({"say": "__import__"}, "not a message of this protocol"),
        ({"say": ["Point"]}, "not a message of this protocol"),
    ],
)
def test_a_wrong_field_is_named(content, problem):
    """The other side may run another version."""
    with pytest.raises(ProtocolError, match=problem):
        decode(json.dumps(content).encode())
