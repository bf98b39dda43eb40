"""The icicle and the files for other viewers."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

from pytest_perfguard.core.explanation import Flame
from pytest_perfguard.engine.report.flame import folded, icicle_svg, speedscope, tree_of

FLAME = Flame(
    "",
    ((("t.py:test", "a.py:fast"), 10e-6), (("t.py:test", "a.py:gone"), 5e-6)),
    ((("t.py:test", "a.py:fast"), 10e-6), (("t.py:test", "a.py:<slow>"), 30e-6)),
)


def test_the_tree_adds_up_both_sides():
    root = tree_of(FLAME)
    assert (round(root.head * 1e6), round(root.base * 1e6)) == (40, 15)
    assert {
        name: round((node.head - node.base) * 1e6) for name, node in root.children["t.py:test"].children.items()
    } == {
        "a.py:fast": 0,
        "a.py:gone": -5,
        "a.py:<slow>": 30,
    }


def test_the_width_is_the_heads_time_and_the_colour_the_change():
    root = ET.fromstring(icicle_svg(FLAME))
    boxes = {
        group.find("title").text.partition(":")[2].partition(":")[0]: group.find("rect") for group in root.iter("g")
    }
    assert float(boxes["<slow>"].get("width")) == 750
    assert boxes["<slow>"].get("fill") == "rgb(240,100,100)"
    assert boxes["fast"].get("fill") == "rgb(240,225,225)"
    assert "gone" not in boxes
    assert icicle_svg(Flame("", FLAME.base, ())) == ""


def test_collapsed_stacks_are_one_line_each():
    assert folded([("t.py::test[a;b]", FLAME)]).splitlines() == [
        "t.py::test[a:b];t.py:test;a.py:fast 10",
        "t.py::test[a:b];t.py:test;a.py:<slow> 30",
    ]


def test_a_file_for_speedscope_has_both_sides():
    content = json.loads(speedscope([("t.py::test", FLAME)]))
    assert [profile["name"] for profile in content["profiles"]] == ["t.py::test (base)", "t.py::test (head)"]
    head = content["profiles"][1]
    names = [[content["shared"]["frames"][index]["name"] for index in stack] for stack in head["samples"]]
    assert names == [["t.py:test", "a.py:fast"], ["t.py:test", "a.py:<slow>"]]
    assert sum(head["weights"]) == head["endValue"]
