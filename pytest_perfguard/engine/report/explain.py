"""Explanation of a failed test on one screen: the metrics that got worse, by how much, against what, and next steps."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pytest_perfguard.core.metric_names import are_counts, metric_kind
from pytest_perfguard.core.model import (
    CLAIM_UNIT,
    Comparison,
    Finding,
    Measurement,
    Record,
    Verdict,
)
from pytest_perfguard.core.parsers import METRICS
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.core.text import plural
from pytest_perfguard.core.units import format_amount, format_duration
from pytest_perfguard.engine.profile.lines import where_lines
from pytest_perfguard.engine.report.text import change_in_words, each_reason_once, smallest_in_words
from pytest_perfguard.engine.verdict.acceptance import acceptance_lines

#: Kind of metric -> (verb, object) of the sentence on a regression. Kinds with the same verb share one clause.
_WORSE: Final = {
    "time": ("slower", ""),
    "p95": ("slower in its slowest calls", ""),
    "cpu": ("uses more", "CPU time"),
    "memory": ("uses more", "memory"),
    "blocks": ("keeps more", "memory blocks"),
    "instructions": ("executes more", "instructions"),
    "value": ("observes higher", "values"),
    "value-p95": ("observes higher", "values"),
}

_NAME_WIDTH: Final = 10
#: The line above the last part of an explanation.
NEXT_STEPS: Final = "What to do next"


def no_commits(_revision: str) -> int:
    """Return 0: nothing is known of the history."""
    return 0


@dataclass(frozen=True)
class Context:
    """Context of an explanation."""

    mode: str
    """Mode of the run; "records" where two files were compared."""
    baseline_file: str
    settings: Settings
    record: Record | None = None
    revision: str = ""
    """Value of `--perf-against`."""
    place: Callable[[str], str] = str
    """Node id -> the argument that names the test in the folder where pytest was started."""
    options: str = ""
    """Options with which pytest finds its configuration in that folder."""
    prune_options: str = ""
    """Options with which `perfguard prune` finds the baseline file in that folder."""
    behind: Callable[[str], int] = no_commits
    """Revision -> number of commits between it and HEAD; 0 where it is no ancestor."""
    metrics: str = ""
    """Value of `--perf-metrics` if that named the instructions, which are not counted otherwise."""


def headline(comparison: Comparison) -> str:
    """Return one line: the verdict and the number behind it."""
    if comparison.broken:
        return f"could not be measured: {comparison.broken.splitlines()[0]}"
    finding = _leading(comparison)
    if finding is None:
        return f"{comparison.verdict}: {comparison.reason}"
    if comparison.verdict is Verdict.OVER_LIMIT and finding.unit == CLAIM_UNIT:
        return f"claim: {finding.reason}"
    if comparison.verdict is Verdict.OVER_LIMIT:
        limit = format_amount(finding.limit or 0.0, finding.unit)
        return f"over limit: {finding.name} {format_amount(finding.candidate, finding.unit)} > {limit}"
    if comparison.verdict is Verdict.REGRESSION:
        return f"regression: {finding.name} {change_in_words(finding)} ({_from_to(finding)})"
    if comparison.verdict is Verdict.LEAK:
        return f"leak: {describe_finding(finding)}{f': {finding.details[0].strip()}' if finding.details else ''}"
    return f"{comparison.verdict}: {f'{finding.name} {change_in_words(finding)}'.strip()}: {finding.reason}"


def explain(comparison: Comparison, context: Context) -> Iterator[str]:
    """Yield the lines of the whole explanation."""
    if comparison.broken:
        yield "perfguard could not measure this test."
        yield ""
        yield from comparison.broken.splitlines()
        yield ""
        yield f"It counts as failed, because its speed is unknown. Try: {_command(comparison, context, '--perf')}"
        return
    yield _opening(comparison)
    yield ""
    if comparison.reason:
        yield f"  {comparison.reason}"
    width = max(_NAME_WIDTH, *(len(finding.name) for finding in comparison.findings), 0)
    for finding in each_reason_once(comparison.findings):
        yield from _finding_lines(finding, width)
    if comparison.explanation is not None:
        yield from where_lines(comparison.explanation)
    yield ""
    yield from _provenance(comparison, context)
    yield ""
    yield from _next_steps(comparison, context)


def describe_finding(finding: Finding) -> str:
    """Return `12.3 us -> 25.1 us per call, 2.0x slower (interval 1.9x to 2.1x)`."""
    whole = finding.unit in ("blocks", CLAIM_UNIT) or metric_kind(finding.name) == "max_rss_growth"
    per = "" if whole else " per call"
    if finding.baseline is None:
        return f"{format_amount(finding.candidate, finding.unit)}{per}"
    return f"{_from_to(finding)}{per}, {change_in_words(finding, interval=True)}"


def _opening(comparison: Comparison) -> str:
    if comparison.verdict is Verdict.REGRESSION:
        return _regression(comparison)
    if comparison.verdict is Verdict.LEAK:
        leaks = [finding for finding in comparison.findings if finding.verdict is Verdict.LEAK]
        return f"This test leaks {' and '.join(_leaking(finding) for finding in leaks)}."
    if comparison.verdict is Verdict.OVER_LIMIT:
        over = [finding for finding in comparison.findings if finding.verdict is Verdict.OVER_LIMIT]
        if all(finding.unit == CLAIM_UNIT for finding in over):
            return "This test claims that something is faster, and it is not."
        return "This test is above the absolute limit of its marker."
    return f"This test is {comparison.verdict}, which fails under --perf-strict."


def _regression(comparison: Comparison) -> str:
    """Return `Slower than HEAD (d5b38ae646d5), and uses more CPU time and memory.`"""
    ways: dict[str, list[str]] = {}
    for finding in comparison.findings:
        if finding.verdict is Verdict.REGRESSION:
            way, amount = _WORSE.get(metric_kind(finding.name), ("more", finding.name))
            amounts = ways.setdefault(way, [])
            amounts += [amount] if amount and amount not in amounts else []
    first, *others = (f"{way} {' and '.join(amounts)}".strip() for way, amounts in ways.items())
    than = comparison.pairing.revision if comparison.pairing else "its baseline"
    clauses = [f"{first[0].upper()}{first[1:]} than {than}", *others]
    return f"{', '.join(clauses[:-1])}, and {clauses[-1]}." if others else f"{clauses[0]}."


def _finding_lines(finding: Finding, width: int) -> Iterator[str]:
    verdict = f"  {finding.verdict}" if finding.verdict else ""
    yield f"  {finding.name:<{width}} {describe_finding(finding)}{verdict}"
    failing = finding.verdict in (Verdict.REGRESSION, Verdict.OVER_LIMIT)
    if finding.limit is not None and failing and finding.unit != CLAIM_UNIT:
        yield f"  {'':<{width}} allowed: up to {format_amount(finding.limit, finding.unit)}"
    if finding.reason:
        yield f"  {'':<{width}} {finding.reason}"
    for line in finding.details:
        yield f"  {'':<{width}} {line}"
    if finding.smallest is not None:
        yield f"  {'':<{width}} {smallest_in_words(finding.smallest)}"


def _provenance(comparison: Comparison, context: Context) -> Iterator[str]:
    measurement, pairing, record = comparison.measurement, comparison.pairing, context.record
    if measurement.processes and context.mode != "records":
        yield f"  measured   {_extent(measurement, paired=pairing is not None)}"
    if pairing is not None:
        where = "in turn on one CPU" if pairing.pinned else "in turn, not kept on one CPU"
        yield f"  base       {pairing.revision}, {where}"
        if pairing.why:
            yield f"  because    {pairing.why}"
    elif record is not None:
        commit = f", commit {record.commit}" if record.commit else ""
        yield f"  baseline   {context.baseline_file}{commit}"
        if record.kernel and measurement.kernel:
            yield (
                f"  machine    calibration kernel {format_duration(measurement.kernel)}, "
                f"recorded {format_duration(record.kernel)}"
            )
    for note in measurement.notes:
        yield f"  note       {note}"


def _extent(measurement: Measurement, *, paired: bool) -> str:
    """Return the amount of measuring: `8 fresh processes, 320 rounds of 4 calls, 1.04 s`."""
    rounds = max((samples.rounds for samples in measurement.samples.values()), default=0)
    *others, last = measurement.iterations.values() or (1,)
    iterations = ", ".join([*map(str, others), plural(last, "call")])
    calls = f"{plural(rounds, 'round')} of {iterations}{' a side' * paired}, " if rounds else ""
    processes = plural(measurement.processes, "fresh pair" if paired else "fresh process")
    return f"{processes}{' of processes' * paired}, {calls}{format_duration(measurement.seconds)}"


def _next_steps(comparison: Comparison, context: Context) -> Iterator[str]:
    yield NEXT_STEPS
    if context.mode == "records":  # two files were compared, and nothing was measured
        yield f"  measure it here:               {_command(comparison, context, '--perf-compare')}"
        return
    if comparison.measurement.processes:
        yield f"  measure it again, alone:       {_command(comparison, context, _option(comparison, context))}"
    yield from _bisecting(comparison, context)
    if comparison.verdict is Verdict.MISSING:
        yield f"  removed? drop its record:      perfguard prune {context.prune_options}{shlex.quote(comparison.nodeid)}"
    elif context.mode == "compare" and (context.record is not None or comparison.verdict is Verdict.INCOMPARABLE):
        yield f"  intended? accept the new cost: {_command(comparison, context, '--perf-baseline')}"
    elif context.mode == "against" and (lines := acceptance_lines(comparison)):
        yield f"  intended? in a commit message: {lines[0]}"
        yield from (f"{'':33}{line}" for line in lines[1:])
    leading = _leading(comparison)
    if comparison.verdict is Verdict.OVER_LIMIT and leading is not None and leading.unit != CLAIM_UNIT:
        yield "  or raise the limit in the marker of the test"
    elif comparison.verdict is Verdict.INCONCLUSIVE:
        yield "  or give it more time (--perf-budget=60s), or run it where nothing else runs"


def _bisecting(comparison: Comparison, context: Context) -> Iterator[str]:
    """Yield the command that searches for the commit, if the base of a regression is several commits behind."""
    good, leading = _base_of(comparison, context), _leading(comparison)
    if comparison.verdict is not Verdict.REGRESSION or leading is None or not good or context.behind(good) < 2:
        return
    kind = metric_kind(leading.name)
    if kind in METRICS:
        metric = "" if kind == "time" else f" --metric={kind}"
        test = shlex.quote(context.place(comparison.nodeid))
        yield f"  which commit was it?           perfguard bisect {test} --good={shlex.quote(good)}{metric}"


def _base_of(comparison: Comparison, context: Context) -> str:
    """Return the revision that the test was measured beside, or an empty string."""
    if context.mode == "against":
        return context.revision
    return comparison.pairing.revision if comparison.pairing is not None else ""


def _option(comparison: Comparison, context: Context) -> str:
    """Return the option that measures this test again."""
    if comparison.verdict is Verdict.LEAK:
        return "--perf --perf-leaks"
    if base := _base_of(comparison, context):
        return f"--perf-against={shlex.quote(base)}"
    return f"--perf-{context.mode}".removesuffix("-measure")


def _command(comparison: Comparison, context: Context, option: str) -> str:
    record, metrics = context.record, context.metrics
    if option == "--perf-baseline" and metrics and record is not None and not are_counts(record.metrics):
        metrics = "+instructions"  # a record of times and counts keeps both
    chosen = f"--perf-metrics={metrics}" if metrics else ""
    words = ["pytest", context.options, option, chosen, shlex.quote(context.place(comparison.nodeid))]
    return " ".join(filter(None, words))


def _leading(comparison: Comparison) -> Finding | None:
    """Return the first finding with the verdict of the test."""
    return next((finding for finding in comparison.findings if finding.verdict is comparison.verdict), None)


def _leaking(finding: Finding) -> str:
    """Return `memory`, `address space` or `open files`."""
    kind = metric_kind(finding.name).removeprefix("leak.")
    return {"memory": "memory", "native": "memory of C code", "mapped": "address space"}.get(kind, finding.unit)


def _from_to(finding: Finding) -> str:
    return f"{format_amount(finding.baseline or 0.0, finding.unit)} -> {format_amount(finding.candidate, finding.unit)}"
