"""The sampled stacks of both sides as a picture, and as files for other viewers. Pure.

The icicle is a flame graph that hangs from the top: a row per depth, a box per function. The width of a box is its time in
the head, its colour how that differs from the base; a function that only the base spends time in has no box.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pytest_perfguard.core.explanation import Flame, Stack
from pytest_perfguard.core.units import format_amount
from pytest_perfguard.engine.report.markup import escape

_WIDTH: Final = 1000.0
_ROW: Final = 18
#: Boxes that are narrower are left out.
_MIN_WIDTH: Final = 1.0
#: Width of a letter.
_LETTER: Final = 6.2
#: A change by this share of the whole has the full colour.
_FULL: Final = 0.25


@dataclass
class Node:
    """A function under its callers, with its seconds on both sides."""

    name: str
    head: float = 0.0
    base: float = 0.0
    children: dict[str, Node] = field(default_factory=dict)


def tree_of(flame: Flame) -> Node:
    """Merge the stacks of both sides into one tree."""
    root = Node(flame.label or "test")
    for stacks, side in ((flame.base, "base"), (flame.head, "head")):
        for frames, seconds in stacks:
            node = root
            setattr(node, side, getattr(node, side) + seconds)
            for frame in frames:
                node = node.children.setdefault(frame, Node(frame))
                setattr(node, side, getattr(node, side) + seconds)
    return root


def icicle_svg(flame: Flame) -> str:
    """Draw the differential icicle; "" where the head has no stacks."""
    root = tree_of(flame)
    if root.head <= 0:
        return ""
    boxes: list[str] = []
    depth = _draw(root, root, 0.0, 0, boxes)
    height = (depth + 1) * _ROW
    title = "where the time goes: the width is this tree's time, the colour the change (red: more, blue: less)"
    return (
        f'<svg class="icicle" viewBox="0 0 {_WIDTH:.0f} {height}" width="100%" role="img" aria-label="{escape(title)}" '
        f'font-family="monospace" font-size="11"><title>{escape(title)}</title>{"".join(boxes)}</svg>'
    )


def _draw(node: Node, root: Node, left: float, depth: int, boxes: list[str]) -> int:
    """Draw a box and what hangs from it; returns the greatest depth."""
    width = node.head / root.head * _WIDTH
    if width < _MIN_WIDTH:
        return depth
    boxes.append(_box(node, root, left, width, depth))
    deepest = depth
    for child in sorted(node.children.values(), key=lambda child: child.name):
        deepest = max(deepest, _draw(child, root, left, depth + 1, boxes))
        left += child.head / root.head * _WIDTH
    return deepest


def _box(node: Node, root: Node, left: float, width: float, depth: int) -> str:
    change = node.head - node.base
    signed = f"{'+' if change >= 0 else '-'}{format_amount(abs(change), 's')}"
    title = f"{node.name}: {format_amount(node.head, 's')} per call, {signed}"
    letters = int((width - 4) / _LETTER)
    text = node.name if len(node.name) <= letters else f"{node.name[: letters - 1]}…" if letters > 2 else ""
    top = depth * _ROW
    return (
        f'<g><title>{escape(title)}</title><rect x="{left:.2f}" y="{top}" width="{width:.2f}" height="{_ROW - 1}" '
        f'fill="{_colour(change / root.head)}" stroke="white" stroke-width="0.5"/>'
        f'<text x="{left + 2:.2f}" y="{top + 12}" fill="#222">{escape(text)}</text></g>'
    )


def _colour(change: float) -> str:
    """From blue (less) through grey (the same) to red (more)."""
    strength = min(1.0, abs(change) / _FULL)
    faded = round(225 - 125 * strength)
    return f"rgb(240,{faded},{faded})" if change >= 0 else f"rgb({faded},{faded + 10},240)"


def folded(flames: Iterable[tuple[str, Flame]]) -> str:
    """Collapsed stacks of the head, one per line: `test;outer;inner MICROSECONDS`, as flame graph tools read them.

    `flames` are pairs of node id and flame.
    """
    lines = []
    for nodeid, flame in flames:
        for frames, seconds in flame.head:
            names = [_plain(name) for name in (nodeid, *([flame.label] if flame.label else []), *frames)]
            lines.append(f"{';'.join(names)} {max(1, round(seconds * 1e6))}")
    return "".join(f"{line}\n" for line in lines)


def speedscope(flames: Iterable[tuple[str, Flame]]) -> str:
    """A file for speedscope, with a profile for each side of each test."""
    index: dict[str, int] = {}
    profiles: list[dict[str, object]] = []
    for nodeid, flame in flames:
        for side, stacks in (("base", flame.base), ("head", flame.head)):
            profiles.append(_profile(f"{nodeid} {flame.label} ({side})".replace("  ", " "), stacks, index))
    content = {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "name": "perfguard",
        "activeProfileIndex": 0,
        "exporter": "perfguard",
        "shared": {"frames": [{"name": name} for name in index]},
        "profiles": profiles,
    }
    return json.dumps(content, allow_nan=False) + "\n"


def _profile(name: str, stacks: Sequence[Stack], index: dict[str, int]) -> dict[str, object]:
    return {
        "type": "sampled",
        "name": name,
        "unit": "seconds",
        "startValue": 0,
        "endValue": sum(seconds for _frames, seconds in stacks),
        "samples": [[index.setdefault(frame, len(index)) for frame in frames] for frames, _seconds in stacks],
        "weights": [seconds for _frames, seconds in stacks],
    }


def _plain(name: str) -> str:
    """A name without what separates names and lines."""
    return name.replace(";", ":").replace("\n", " ").replace("\r", " ")
