"""The page of the command matches the command: every verb, every option, the form of every --json."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest

from pytest_perfguard.cli import main, make_parser
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Record, Verdict
from pytest_perfguard.engine.baseline.schema import Baseline, MachineClass
from pytest_perfguard.engine.baseline.store import Store
from tests.docs.documents import PAGES, blocks
from tests.repository import Repository

HEAD, *_PARTS = re.split(r"^## `", PAGES["command.md"], flags=re.MULTILINE)
SECTIONS = {part.partition("`")[0]: part for part in _PARTS}
VERBS = next(action.choices for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction))


def options_of(parser):
    """Return all names of each option."""
    return [tuple(action.option_strings) for action in parser._actions if action.option_strings]


def test_every_verb_has_a_section_and_every_section_a_verb():
    assert [*SECTIONS] == [*VERBS], "in the order of perfguard --help"


@pytest.mark.parametrize("verb", SECTIONS)
def test_the_page_lists_exactly_the_options_of_a_verb(verb):
    known = {name for names in options_of(VERBS[verb]) for name in names}
    everywhere = set(re.findall(r"^\| (.*?) \|", HEAD, re.MULTILINE))
    shared = {name for cell in everywhere for name in re.findall(r"`(-[\w-]+)`", cell)}
    rows = re.findall(r"^\| (`-.*?) \|", SECTIONS[verb], re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(-[\w-]+)`", row)}
    assert listed == known - shared


@pytest.mark.parametrize("verb", SECTIONS)
def test_every_verb_has_an_example_and_its_output(verb):
    assert re.search(rf"^perfguard {verb}\b", "".join(blocks(SECTIONS[verb], "sh")), re.MULTILINE)
    assert blocks(SECTIONS[verb], "text")


def keys_of(data):
    """Return the keys at each level of an object; names of machine classes, tests and verdicts become "NAME"."""
    if isinstance(data, list):
        return keys_of(data[0]) if data else {}
    if not isinstance(data, dict):
        return {}
    names = {key for key in data if "::" in key or key.startswith("linux-") or key in {*map(str, Verdict)}}
    return {"NAME" if key in names else key: keys_of(value) for key, value in data.items()}


def is_part(shown, real):
    """Are all keys of the first in the second?"""
    return all(key in real and is_part(inner, real[key]) for key, inner in shown.items())


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Work in a folder with a baseline file, whose history has a step, and a report."""
    repository = Repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    facts = {"cpu": "A", "cpus": 2, "python": "3.11", "system": "Linux"}
    for index in range(10):
        times = (1e-4 * (1 + index / 1000 + index // 5),) * 4  # of so few processes that accepting has a doubt
        metrics = {"time": MetricStats("s", times, times, 400)}
        record = Record("0123456789ab", "0123456789ab", 3e-4, {"": 10}, metrics, {}, (3e-4,) * 4)
        classes = {"linux-a": MachineClass(facts, {"at": "", "perfguard": "1"}, {"t.py::test_a": record})}
        Store(tmp_path / "perf-baseline.json").update(lambda _, classes=classes: Baseline(classes))
        repository.commit()
    main(["compare", "perf-baseline.json", "perf-baseline.json", "--output=perf.json"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("show",),
        ("compare", "perf-baseline.json", "perf.json"),
        ("accept", "perf.json", "t.py*"),
        ("prune", "t.py*"),
        ("history",),
        ("report", "--of=perf.json", "--output=perf.md"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_json_of_a_verb_has_the_form_that_the_page_shows(arguments, project, capsys):
    capsys.readouterr()
    main([*arguments, "--json"])
    real = json.loads(capsys.readouterr().out)
    (example,) = blocks(SECTIONS[arguments[0]], "json")
    shown = json.loads(example)
    assert {*keys_of(shown)} == {*keys_of(real)}
    assert is_part(keys_of(shown), keys_of(real))


@pytest.mark.parametrize("verb", SECTIONS)
def test_every_example_of_json_can_be_read(verb):
    (example,) = blocks(SECTIONS[verb], "json")
    assert isinstance(json.loads(example), dict)


@pytest.mark.parametrize("place", [(), ("tests",), ("tests", "metrics"), ("tests", "metrics", "samples")])
def test_the_page_of_the_reports_shows_the_form_of_the_json_report(place, project):
    """All of its fields down to the samples, and no others."""
    (example,) = blocks(PAGES["report.md"], "json")
    shown, real = keys_of(json.loads(example)), keys_of(json.loads(Path("perf.json").read_text(encoding="utf-8")))
    assert is_part(shown, real)
    for name in place:
        shown, real = shown[name], real[name]
    assert {*shown} == {*real}
