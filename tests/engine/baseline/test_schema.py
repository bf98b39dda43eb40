"""Format of the baseline file: round trips, one test per line, errors with the line that is wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.core.errors import BaselineUnreadable
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Record
from pytest_perfguard.core.parsers import METRICS
from pytest_perfguard.engine.baseline.schema import Baseline, MachineClass, from_text, to_text

amounts = st.floats(0, 1e9).map(lambda value: float(f"{value:.6g}"))


@st.composite
def recorded(draw, name):
    minima = draw(st.lists(amounts, min_size=1, max_size=5))
    medians = tuple(value + draw(amounts) for value in minima)
    return MetricStats(METRICS[name.partition(":")[0]], tuple(minima), medians, draw(st.integers(1, 10**6)))


@st.composite
def metrics(draw):
    names = draw(
        st.lists(
            st.builds("{}{}".format, st.sampled_from(list(METRICS)), st.just("") | texts.map(":{}".format)), max_size=3
        )
    )
    return {name: draw(recorded(name)) for name in names}


texts = st.text(st.characters(codec=None), max_size=30)
records = st.builds(
    Record,
    source=texts,
    commit=texts,
    kernel=amounts,
    iterations=st.dictionaries(texts, st.integers(1, 10**9), max_size=2),
    metrics=metrics(),
    conditions=st.dictionaries(texts, st.booleans(), max_size=2),
    paces=st.lists(amounts, min_size=1, max_size=5).map(tuple),
    imports=st.lists(texts, max_size=3).map(lambda names: tuple(sorted(names))),
    calls=st.dictionaries(texts, st.floats(0, 1e9), max_size=3),
    counting=texts,
    lost=st.floats(0, 1),
)
classes = st.builds(
    MachineClass,
    machine=st.dictionaries(texts, st.integers() | texts, max_size=3),
    stamp=st.dictionaries(texts, texts, max_size=2),
    tests=st.dictionaries(texts, records, max_size=4),
)
baselines = st.builds(Baseline, st.dictionaries(texts, classes, max_size=3))

EXAMPLE = Baseline(
    {
        "linux": MachineClass(
            {"cpu": "x"},
            {"at": "now"},
            {
                "test_a.py::test_b": Record(
                    "h", "c", 0.5, {"": 3}, {"time": MetricStats("s", (1.0,), (2.0,), 40)}, {}, (0.5,)
                ),
                "test_a.py::test_c": Record(
                    "h", "c", 0.5, {"": 3}, {"time": MetricStats("s", (1.0,), (2.0,), 40)}, {}, (0.5,)
                ),
            },
        )
    }
)


@given(baselines)
def test_what_is_written_is_read_back(baseline):
    """Whatever stands in a node id: line breaks, surrogates, quotes."""
    assert from_text(to_text(baseline), "b.json") == baseline


@given(baselines)
def test_the_same_content_is_the_same_bytes(baseline):
    text = to_text(baseline)
    assert to_text(from_text(text, "b.json")) == text
    text.encode("ascii")


def test_every_test_has_a_line_of_its_own():
    lines = to_text(EXAMPLE).splitlines()
    assert [line.split(":")[0] for line in lines if line.startswith('"test_a')] == ['"test_a.py', '"test_a.py']
    assert json.loads(to_text(EXAMPLE))["classes"]["linux"]["tests"]["test_a.py::test_b"]["kernel"] == 0.5


def line_of(text, token):
    return text[: text.index(token)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"kernel": 0.5', '"kernel": "fast"', "kernel is 'fast', expected a number"),
        ('"kernel": 0.5', '"kernel": -1', "kernel is -1, expected a number that is not negative"),
        ('"kernel": 0.5', '"kernel": 1e400', "kernel is inf"),
        ('"minima": [1.0]', '"minima": [3.0]', "minima and medians do not match"),
        ('"minima": [1.0]', '"minima": []', "metrics.time.minima is"),
        ('"minima": [1.0]', '"minima": [1.0, 1.0]', "do not match"),
        ('"rounds": 40', '"rounds": 0', "metrics.time.rounds is 0"),
        ('"rounds": 40', '"rounds": true', "metrics.time.rounds is True"),
        ('"": 3', '"": 0.5', "iterations. is 0.5"),
        ('"unit": "s"', '"unit": "ms"', "metrics.time.unit is 'ms'"),
        ('"medians": [2.0]', '"medians": [-2.0]', "metrics.time.medians is"),
        ('"conditions": {}', '"conditions": {"single": 1}', "conditions.single is 1"),
        ('"source": "h"', '"source": 5', "source is 5, expected text"),
        ('"commit": "c", ', "", "commit is None, expected text"),
        ('"kernel": 0.5', '"kernel": 0.5, "lost": "much"', "lost is 'much', expected a number"),
        ('"kernel": 0.5', '"kernel": 0.5, "lost": 1.5', "lost is 1.5, expected a share from 0 to 1"),
    ],
)
def test_a_wrong_field_is_named_with_its_line(old, new, problem):
    text = to_text(EXAMPLE).replace(old, new, 1)
    with pytest.raises(BaselineUnreadable) as caught:
        from_text(text, "b.json")
    assert problem in str(caught.value)
    assert caught.value.line == line_of(text, '"test_a.py::test_b"')


@pytest.mark.parametrize(
    ("change", "line", "problem"),
    [
        (lambda text: text[:200], 8, "not JSON"),
        (lambda text: "", 1, "not JSON"),
        (lambda text: "[]", 1, "a JSON object is expected, not list"),
        (lambda text: text.replace('"schema": 1', '"schema": 2'), 2, "schema 2 is newer than this perfguard"),
        (lambda text: text.replace('"schema": 1', '"schema": "1"'), 2, "schema is '1', expected 1"),
        (lambda text: text.replace("test_c", "test_b"), 9, "the key 'test_a.py::test_b' occurs twice"),
        (lambda text: text.replace("0.5", "NaN", 1), 8, "NaN is not a valid JSON number"),
        (lambda text: text.replace('"tests"', "<<<<<<< HEAD\n" + '"tests"'), 7, "an unresolved merge conflict"),
        (lambda text: text.replace('"classes"', '"classer"'), None, "classes is None, expected an object"),
        (lambda text: "[" * 100_000, None, "cannot be read"),
        (lambda text: '{"schema": ' + "1" * 10_000 + "}", None, "cannot be read"),
    ],
)
def test_a_broken_file_is_refused_with_the_line_at_fault(change, line, problem):
    with pytest.raises(BaselineUnreadable) as caught:
        from_text(change(to_text(EXAMPLE)), "b.json")
    assert problem in str(caught.value)
    assert line is None or caught.value.line == line


@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)
    ).map(json.dumps)
)
def test_no_text_ends_in_another_error(text):
    try:
        from_text(text, "b.json")
    except BaselineUnreadable:
        pass


@given(st.data())
def test_no_damage_ends_in_another_error(data):
    """A byte changed, cut out or doubled: read, or refused by name."""
    text = to_text(EXAMPLE)
    at = data.draw(st.integers(0, len(text) - 1))
    damage = data.draw(st.sampled_from(["", text[at] * 2, "\x00", "9", "{", '"']))
    try:
        from_text(text[:at] + damage + text[at + 1 :], "b.json")
    except BaselineUnreadable as error:
        assert error.path == "b.json"


def test_the_order_of_imports_means_nothing():
    """Else a file that somebody put in another order would seem changed after the next writing."""
    text = to_text(EXAMPLE).replace('"iterations"', '"imports": ["b", "a", "c"], "iterations"')
    baseline = from_text(text, "b.json")
    assert baseline.tests_of("linux")["test_a.py::test_b"].imports == ("a", "b", "c")
    assert from_text(to_text(baseline), "b.json") == baseline


def test_numbers_of_calls_are_optional_and_checked():
    """Older files have none."""
    assert from_text(to_text(EXAMPLE), "b.json").tests_of("linux")["test_a.py::test_b"].calls == {}
    for wrong in ("-1", '"1"', "true", "[]"):
        text = to_text(EXAMPLE).replace('"iterations"', f'"calls": {{"|a.py|f": {wrong}}}, "iterations"')
        with pytest.raises(BaselineUnreadable, match=r"calls\.\|a\.py\|f is .*, expected a number"):
            from_text(text, "b.json")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@given(st.data())
def test_no_wrong_value_ends_in_another_error(data):
    """Any part of the file is something else."""
    content = part = json.loads(to_text(EXAMPLE))
    key = data.draw(st.sampled_from(sorted(part)))
    while isinstance(part[key], dict | list) and part[key] and data.draw(st.integers(0, 7)):
        part = part[key]
        keys = sorted(part) if isinstance(part, dict) else range(len(part))
        key = data.draw(st.sampled_from(keys))
    part[key] = data.draw(ANYTHING)
    try:
        baseline = from_text(json.dumps(content), "b.json")
    except BaselineUnreadable:
        return
    assert from_text(to_text(baseline), "b.json") == baseline
