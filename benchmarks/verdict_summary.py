"""Figures of stored verdicts: a line per goal, with 95 % Wilson limits."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from verdict_runs import Judged, is_duration

#: A reported ratio is right within this factor of the true one.
NEAR = 1.15
FLOOR_SECONDS = 2e-9
#: Calls above this are held to 10 % against a stored baseline.
LONG_SECONDS = 0.002


def wilson(hits: int, count: int) -> str:
    """`2.1 % (0.4 to 6.0 %) of 95`."""
    if not count:
        return "none"
    z, share = 1.96, hits / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return f"{100 * share:.1f} % ({100 * max(0, centre - half):.1f} to {100 * min(1, centre + half):.1f} %) of {count}"


# Files --------------------------------------------------------------------------------------------------------------


def store(
    path: Path | None, about: dict[str, Any], verdicts: Sequence[Judged], costs: Sequence[dict[str, Any]]
) -> None:
    """Write all verdicts and costs so far, as one JSON object."""
    if path is not None:
        content = {"about": about, "verdicts": [asdict(one) for one in verdicts], "costs": list(costs)}
        path.write_text(json.dumps(content, indent=0) + "\n")


def load(paths: Iterable[Path]) -> tuple[list[Judged], list[dict[str, Any]]]:
    """The verdicts and the costs of several files together."""
    verdicts: list[Judged] = []
    costs: list[dict[str, Any]] = []
    for path in paths:
        content = json.loads(path.read_text())
        verdicts += [Judged(**one) for one in content["verdicts"]]
        costs += content["costs"]
    return verdicts, costs


# Lines --------------------------------------------------------------------------------------------------------------


def summary(verdicts: Sequence[Judged], costs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Figures of each trial; after several trials the figures of each mode, and of all together."""
    trials = list(dict.fromkeys((one.mode, one.condition, one.project) for one in verdicts))
    for mode, condition, project in trials:
        chosen = [one for one in verdicts if (one.mode, one.condition, one.project) == (mode, condition, project)]
        yield from _lines(f"{mode}, {condition}, {project}", chosen)
    modes = list(dict.fromkeys(one.mode for one in verdicts))
    if len(trials) > len(modes):
        for mode in modes:
            yield from _lines(f"{mode}, all conditions and projects", [one for one in verdicts if one.mode == mode])
    if len(modes) > 1:
        yield from _lines("all modes, conditions and projects", verdicts)
    yield from _cost_lines(costs)


def _lines(title: str, verdicts: Sequence[Judged]) -> Iterator[str]:
    yield f"\n{title}"
    broken = [one for one in verdicts if one.verdict == "broken"]
    if broken:
        yield _row("broken runs and tests", f"{len(broken)}, the first: {' '.join(broken[0].reason.split())[:200]}")
    judged = [one for one in verdicts if one.goal not in ("recording", "broken run") and one.verdict != "broken"]
    for label, chosen in _groups(judged, _goal) + _joined(judged):
        yield _row(label, _figures(chosen))
    rated = [one for one in judged if one.ratio is not None]
    for label, chosen in _groups(rated, _goal) + _joined(rated):
        yield _row(label, _ratios(chosen))
    timed = [one for one in verdicts if one.goal != "broken run"]
    yield from (_row(f"seconds, {label}", _seconds(chosen)) for label, chosen in _groups(timed, lambda one: one.goal))


def _row(label: str, figures: str) -> str:
    return f"  {label:44} {figures}"


def _groups(verdicts: Iterable[Judged], key: Callable[[Judged], str]) -> list[tuple[str, list[Judged]]]:
    """In the order of goals and of units."""
    found: dict[str, list[Judged]] = {}
    for one in sorted(verdicts, key=lambda one: (one.goal != "recording", one.goal != "unchanged", one.goal, one.head)):
        found.setdefault(key(one), []).append(one)
    return list(found.items())


def _joined(verdicts: Sequence[Judged]) -> list[tuple[str, list[Judged]]]:
    """Several goals together: all that must not be red, and all slower code that must."""
    same = [one for one in verdicts if one.goal in ("unchanged", "frames")]
    slower = [one for one in verdicts if one.goal == "slower" and not _within(one)]
    return [
        (label, chosen)
        for label, chosen in (("all equal code", same), ("all slower code beyond the threshold", slower))
        if len({(one.goal, one.head) for one in chosen}) > 1
    ]


def _goal(one: Judged) -> str:
    """The goal's name; what no mode promises to find has a name of its own."""
    if one.goal == "unchanged":
        return "unchanged code"
    if one.goal == "frames":
        return f"{one.head} more frames"
    change = 100 * (one.head / one.base - 1)
    name = f"{change:.3g} % slower" if one.goal == "slower" else f"{-change:.3g} % faster"
    return name + (f", {within}" if (within := _within(one)) else "")


def _within(one: Judged) -> str:
    """Why the change need not be found: the documented floor and thresholds."""
    if one.baseline is not None and abs(one.true - 1) * one.baseline <= FLOOR_SECONDS:
        return "below the floor of 2 ns"
    threshold = 1.05 if one.mode == "file" else 1.03
    if one.pinned is False or (one.mode == "file" and one.baseline is not None and one.baseline > LONG_SECONDS):
        threshold = 1.10
    return "within the threshold" if max(one.true, 1 / one.true) <= threshold + 1e-9 else ""


def _figures(verdicts: Sequence[Judged]) -> str:
    """What happened: found and missed, or false alarms."""
    count, goal = len(verdicts), verdicts[0].goal
    red = sum(one.verdict == "regression" for one in verdicts)
    in_time = sum(any(is_duration(name) for name in one.red_for) for one in verdicts)
    better = sum(one.verdict == "improvement" for one in verdicts)
    parts = [f"red {wilson(red, count)}, {in_time} of {red} for time or CPU"]
    if goal == "faster":
        parts.insert(0, f"found {wilson(better, count)}")
        parts.append(f"wrong direction {sum(one.time_verdict == 'regression' for one in verdicts)}")
    elif goal == "slower":
        parts.append(f"wrong direction {sum('improvement' in (one.verdict, one.time_verdict) for one in verdicts)}")
    else:
        parts.append(f"improvement {better}")
    parts.append(f"inconclusive {wilson(sum(one.verdict == 'inconclusive' for one in verdicts), count)}")
    others = count - red - better - sum(one.verdict in ("inconclusive", "unchanged") for one in verdicts)
    return "; ".join([*parts, *([f"{others} not judged"] if others else [])])


def _ratios(verdicts: Sequence[Judged]) -> str:
    """How well the reported ratio of time agrees with the true one."""
    errors = [math.log(one.ratio / one.true) for one in verdicts if one.ratio]
    if not errors:
        return "no ratio"
    near = sum(abs(error) <= math.log(NEAR) + 1e-9 for error in errors)
    true = statistics.median(one.true for one in verdicts)
    middle = statistics.median(one.ratio for one in verdicts if one.ratio)
    shown = [one for one in verdicts if one.interval]
    holds = sum(one.interval[0] <= one.true <= one.interval[1] for one in shown if one.interval)
    return (
        f"within 15 % of the truth {wilson(near, len(errors))}; "
        f"median error {100 * math.expm1(statistics.median(map(abs, errors))):.1f} %; "
        f"median x {middle:.3f}, true x {true:.3f}; the interval holds the truth {holds} of {len(shown)}"
    )


def _seconds(verdicts: Sequence[Judged]) -> str:
    """Per test: of the whole run, of measuring alone; how many processes, or pairs of them."""
    parts = [f"{_mean(one.wall for one in verdicts):.2f} per test"]
    if any(one.seconds is not None for one in verdicts):
        parts.append(f"measuring {_mean(one.seconds for one in verdicts if one.seconds is not None):.2f}")
    if any(one.processes is not None for one in verdicts):
        parts.append(f"processes {_mean(one.processes for one in verdicts if one.processes is not None):.1f}")
    pairs = [one.pairs for one in verdicts if one.pairs is not None]
    if pairs:
        parts.append(f"pairs {_mean(pairs):.1f} (of {len(pairs)} tests)")
    return ", ".join(parts)


def _mean(numbers: Iterable[float]) -> float:
    return statistics.fmean(numbers)


def _cost_lines(costs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Median seconds of each step of `large`, `budget` and `demo`; of the demonstration also whether it went as expected."""
    for goal, step in dict.fromkeys((one["goal"], one["step"]) for one in costs):
        chosen = [one for one in costs if (one["goal"], one["step"]) == (goal, step)]
        seconds = statistics.median(one["seconds"] for one in chosen)
        parts = [f"{seconds:.2f} s", f"{seconds / chosen[0]['tests']:.4f} per test of {chosen[0]['tests']}"]
        if "expected" in chosen[0]:
            parts.append(f"as expected {wilson(sum(one['expected'] for one in chosen), len(chosen))}")
        if chosen[0].get("red") is not None:
            parts.append(f"red for time {wilson(sum(one['red'] for one in chosen), len(chosen))}")
        if chosen[0].get("verdicts"):
            parts.append(f"the first {chosen[0]['verdicts']}")
        yield _row(f"{goal}: {step}", ", ".join(parts))
