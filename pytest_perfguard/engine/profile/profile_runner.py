"""Profile both sides of tests that got worse, in processes of their own, and explain the difference."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_perfguard.core.errors import PerfguardError, ProtocolError
from pytest_perfguard.core.explanation import Explanation, Flame, MetricExplanation, Stack
from pytest_perfguard.core.metric_names import MetricName, metric_kind
from pytest_perfguard.core.model import Comparison, Finding, Verdict
from pytest_perfguard.engine.measure.messages import CallRaised
from pytest_perfguard.engine.profile.charges import Side
from pytest_perfguard.engine.profile.counts import MAX_FUNCTIONS, counts_for_record, counts_from_record
from pytest_perfguard.engine.profile.explanation import explain_memory, explain_time
from pytest_perfguard.engine.profile.explanation_by_counts import explain_counts
from pytest_perfguard.engine.profile.messages import ProfileRequest, ProfileResult
from pytest_perfguard.engine.profile.model import StackSamples
from pytest_perfguard.engine.profile.plan import ArmProfiles, PointPlan, plan_point
from pytest_perfguard.engine.runner.process import Launch, WorkerProcess
from pytest_perfguard.engine.runner.protocol import (
    FasterThanPoint,
    FinishedTest,
    Message,
    PointReached,
    Resume,
    ServeTest,
)
from pytest_perfguard.engine.runner.scheduler import MeasuredTest, run_plan, why_not_collected

#: Factor by which a profiled call may take longer than a measured one.
_SLOWER: Final = 10.0
#: Stacks that a report keeps of each side.
MAX_STACKS: Final = 300
_TIMES: Final = frozenset({"time", "cpu"})
_MEMORY: Final = frozenset({"memory", "blocks"})
_COUNTS: Final = "instructions"


class Unprofiled(PerfguardError):
    """A test cannot be profiled; the text gives the reason."""


@dataclass(frozen=True)
class Arm:
    """One side: how to start it, and where the project is there."""

    launch: Launch
    root: str


#: Result of profiling one test: by measurement point the profiles of each arm, or the reason why there are none.
Outcome = dict[str, list[ArmProfiles]] | PerfguardError
Wanted = tuple[MeasuredTest, Mapping[str, PointPlan]]


def profile_tests(arms: Sequence[Arm], wanted: Sequence[Wanted]) -> Iterator[tuple[MeasuredTest, Outcome]]:
    """Profile tests with all arms alive, in turn; a process that breaks down is replaced for the tests that are left."""
    waiting = list(wanted)
    while waiting:
        visiting = False
        try:
            with _workers(arms, [subject for subject, _plans in waiting]) as workers:
                visiting = True
                while waiting:
                    subject, plans = waiting[0]
                    following = waiting[1][0].nodeid if len(waiting) > 1 else ""
                    outcome = _outcome(workers, subject, plans, following)
                    waiting.pop(0)
                    yield subject, outcome
        except PerfguardError as error:
            failed = waiting[:1] if visiting else waiting
            yield from [(subject, error) for subject, _plans in failed]
            waiting = waiting[len(failed) :]


def profile_tests_apart(arms: Sequence[Arm], wanted: Sequence[Wanted]) -> Iterator[tuple[MeasuredTest, Outcome]]:
    """Profile tests with one arm alive at a time, because both arms need a resource that exists once, such as a port."""
    found: list[dict[str, Outcome]] = []
    for index, arm in enumerate(arms):
        one = [(subject, {label: plan.of_arm(index) for label, plan in plans.items()}) for subject, plans in wanted]
        found.append({subject.nodeid: outcome for subject, outcome in profile_tests([arm], one)})
    for subject, plans in wanted:
        outcomes = [each[subject.nodeid] for each in found]
        error = next((outcome for outcome in outcomes if isinstance(outcome, PerfguardError)), None)
        yield (
            subject,
            error
            or {
                label: [outcome[label][0] for outcome in outcomes]  # type: ignore[index]  # no error among them
                for label in plans
                if all(label in outcome for outcome in outcomes)  # type: ignore[operator]  # no error among them
            },
        )


@contextlib.contextmanager
def _workers(arms: Sequence[Arm], subjects: Sequence[MeasuredTest]) -> Iterator[list[WorkerProcess]]:
    """Start one process for each arm, all at the same time, and end them after the block."""
    nodeids, files = [subject.nodeid for subject in subjects], [subject.path for subject in subjects]
    with contextlib.ExitStack() as opened:
        workers = [opened.enter_context(WorkerProcess(arm.launch, nodeids, files)) for arm in arms]
        yield workers
        for worker in workers:
            worker.request_shutdown()


def _outcome(
    workers: Sequence[WorkerProcess], subject: MeasuredTest, plans: Mapping[str, PointPlan], following: str
) -> Outcome:
    for worker in workers:
        if subject.nodeid not in worker.ready.found:
            return Unprofiled(why_not_collected(worker, subject))
    return dict(_serve(workers, subject, plans, following))


def _serve(
    workers: Sequence[WorkerProcess], subject: MeasuredTest, plans: Mapping[str, PointPlan], following: str
) -> Iterator[tuple[str, list[ArmProfiles]]]:
    doing, limit = f"profiling {subject.nodeid}", _SLOWER * subject.time_limit
    for worker in workers:
        worker.send(ServeTest(subject.nodeid, following))
    while True:
        messages = [worker.receive(doing=doing, limit=limit) for worker in workers]
        reached = [message for message in messages if isinstance(message, PointReached)]
        if len(reached) == len(workers) and len({message.label for message in reached}) == 1:
            label = reached[0].label
            if label in plans:
                yield label, run_plan(plan_point(plans[label]), _RequestSender(workers, doing, limit))
        elif not all(isinstance(message, FasterThanPoint) for message in messages):
            for worker, message in zip(workers, messages, strict=True):
                _finish_test(worker, message, doing, limit)
            return
        for worker in workers:
            worker.send(Resume())


class _RequestSender:
    """Sends the requests of a plan to the processes of its arms, and returns their results."""

    def __init__(self, workers: Sequence[WorkerProcess], doing: str, limit: float) -> None:
        self._workers = workers
        self._doing = doing
        self._limit = limit

    def __call__(self, request: tuple[int, ProfileRequest]) -> ProfileResult | CallRaised:
        arm, message = request
        worker = self._workers[arm]
        worker.send(message)
        answer = worker.receive(doing=self._doing, limit=self._limit)
        if not isinstance(answer, ProfileResult | CallRaised):
            raise ProtocolError(f"expected ProfileResult or CallRaised while {self._doing}, got {answer!r}")
        if isinstance(answer, CallRaised) and answer.by_instrument:
            raise Unprofiled(f"the profiler failed: {answer.text}")
        return answer


def _finish_test(worker: WorkerProcess, message: Message, doing: str, limit: float) -> None:
    """Run a test to its end. Profiles that were taken before it failed are kept."""
    while isinstance(message, PointReached | FasterThanPoint):
        worker.send(Resume())
        message = worker.receive(doing=doing, limit=limit)
    if not isinstance(message, FinishedTest):
        raise ProtocolError(f"expected FinishedTest while {doing}, got {message!r}")


def explain_pairs(
    base: Arm,
    head: Arm,
    tests: Sequence[tuple[MeasuredTest, Comparison]],
    *,
    summarize: Callable[[str], str],
    together: bool = True,
) -> dict[str, Explanation]:
    """Explain by profiles of both sides what tests lost, by node id.

    A test whose setting `explain` is `on` has metrics explained that are no regressions, too. `together` is False for
    tests whose sides cannot be alive at once. `summarize` reduces the test runner's report of a failure to one line.
    """
    arms = [base, head]
    findings = {
        subject.nodeid: findings_to_explain(comparison, everything=subject.settings.explain == "on")
        for subject, comparison in tests
    }
    plans = {
        subject.nodeid: plans_of(findings[subject.nodeid], (base.root, head.root), comparison)
        for subject, comparison in tests
    }
    wanted = [(subject, plans[subject.nodeid]) for subject, _comparison in tests if plans[subject.nodeid]]
    profiled = profile_tests(arms, wanted) if together else profile_tests_apart(arms, wanted)
    return {
        subject.nodeid: _explanation(findings[subject.nodeid], plans[subject.nodeid], outcome, summarize)
        for subject, outcome in profiled
    }


def _explanation(
    findings: Sequence[Finding], plans: Mapping[str, PointPlan], outcome: Outcome, summarize: Callable[[str], str]
) -> Explanation:
    if isinstance(outcome, PerfguardError):
        return Explanation(problem=summarize(str(outcome)))
    metrics = [each for finding in findings if (each := _explained(finding, outcome)) is not None]
    if not metrics:
        raised = next((arm.raised for arms in outcome.values() for arm in arms if arm.raised), None)
        problem = f"its call raised {raised}" if raised else "no call was made under a profiler"
        return Explanation(problem=summarize(problem))
    flames = []
    for label, arms in outcome.items():
        base, head = (
            stacks_of(arm.side(seconds).samples, seconds)
            for arm, seconds in zip(arms, plans[label].seconds, strict=True)
        )
        flames += [Flame(label, base, head)] if base and head else []
    return Explanation(tuple(metrics), tuple(flames))


def findings_to_explain(comparison: Comparison, *, everything: bool = False) -> list[Finding]:
    """Return the metrics that got worse; CPU time only where the time did not, and instructions only where neither did."""
    worse = [
        finding
        for finding in comparison.findings
        if finding.baseline is not None
        and (finding.verdict is Verdict.REGRESSION or (everything and finding.verdict is not None))
        and metric_kind(finding.name) in _TIMES | _MEMORY | {_COUNTS}
        and finding.name.partition(":")[2] in comparison.measurement.iterations
    ]
    # By measurement point, the kind that explains the others: the last of this order.
    leading = {
        finding.name.partition(":")[2]: kind
        for kind in (_COUNTS, "cpu", "time")
        for finding in worse
        if metric_kind(finding.name) == kind
    }
    return [
        finding
        for finding in worse
        if metric_kind(finding.name) in (*_MEMORY, leading.get(finding.name.partition(":")[2]))
    ]


def plans_of(findings: Sequence[Finding], roots: tuple[str, ...], comparison: Comparison) -> dict[str, PointPlan]:
    """Return what to profile, by the label of the measurement point."""
    plans = {}
    for label in dict.fromkeys(finding.name.partition(":")[2] for finding in findings):
        kinds = {metric_kind(finding.name) for finding in findings if finding.name.partition(":")[2] == label}
        plans[label] = PointPlan(
            _seconds(comparison, label, len(roots)),
            roots,
            times=not kinds.isdisjoint(_TIMES),
            memory=not kinds.isdisjoint(_MEMORY),
            counts=_COUNTS in kinds,
            single=_is_single(comparison),
        )
    return plans


def _seconds(comparison: Comparison, label: str, arms: int) -> tuple[float, ...]:
    """Return the measured seconds per call of both sides, or of the head alone."""
    for kind in ("time", "cpu"):
        name = str(MetricName(kind, label))
        for finding in comparison.findings:
            if finding.name == name and finding.baseline is not None:
                return (finding.baseline, finding.candidate)[-arms:]
    return (1e-3,) * arms  # where memory alone is measured, nothing is known of the time


def _explained(finding: Finding, taken: Mapping[str, list[ArmProfiles]]) -> MetricExplanation | None:
    kind, _colon, label = finding.name.partition(":")
    arms = taken.get(label)
    if arms is None or finding.baseline is None:
        return None
    loss = finding.candidate - finding.baseline
    if finding.verdict is not Verdict.REGRESSION:  # profiled because everything is; nothing is blamed for noise
        return MetricExplanation(finding.name, finding.unit, loss, rest=loss)
    base, head = arms
    if kind in _MEMORY:
        return explain_memory(base.allocations, head.allocations, metric=finding.name, unit=finding.unit, loss=loss)
    if not (base.calls and head.calls):
        return None
    if kind == _COUNTS:
        calls = {function: cost.calls for function, cost in base.calls[-1].costs.items()}
        return explain_counts(calls, head.side(finding.candidate), metric=finding.name, loss=loss, unit=finding.unit)
    sides: tuple[Side, Side] = base.side(finding.baseline), head.side(finding.candidate)
    return explain_time(*sides, metric=finding.name, loss=loss)


def stacks_of(samples: StackSamples, seconds: float) -> tuple[Stack, ...]:
    """Return the sampled stacks with their seconds per iteration, heaviest first."""
    total = samples.count
    heaviest = sorted(samples.stacks.items(), key=lambda item: -item[1])[:MAX_STACKS]
    return tuple(
        (tuple(f"{function.place}:{function.name}" for function in stack), seconds * count / total)
        for stack, count in heaviest
        if stack
    )


def count_calls(head: Arm, tests: Sequence[tuple[MeasuredTest, Comparison]]) -> dict[str, dict[str, float]]:
    """Count the calls of tests for the baseline file, by node id; a test that cannot be profiled is left out."""
    wanted = [
        (subject, {label: PointPlan((_own_seconds(comparison, label),), (head.root,), counts=True, single=_is_single(comparison))
                   for label in comparison.measurement.iterations})
        for subject, comparison in tests
    ]  # fmt: skip
    return {
        subject.nodeid: {
            key: calls
            for label, (arm,) in outcome.items()
            if arm.calls
            for key, calls in counts_for_record(arm.calls[-1], label).items()
        }
        for subject, outcome in profile_tests([head], wanted)
        if not isinstance(outcome, PerfguardError)
    }


def _own_seconds(comparison: Comparison, label: str) -> float:
    samples = comparison.measurement.samples.get(str(MetricName("time", label)))
    return samples.estimate if samples is not None else 1e-3


def _is_single(comparison: Comparison) -> bool:
    return comparison.measurement.conditions.get("single", False)


def explain_counted(
    head: Arm,
    tests: Sequence[tuple[MeasuredTest, Comparison, Mapping[str, float]]],
    *,
    summarize: Callable[[str], str],
) -> dict[str, Explanation]:
    """Explain tests by profiles of this tree and the numbers of calls that the baseline file kept, by node id.

    `summarize` reduces the test runner's report of a failure to one line.
    """
    counts = {subject.nodeid: counts for subject, _comparison, counts in tests}
    findings = {
        subject.nodeid: [each for each in findings_to_explain(comparison) if metric_kind(each.name) not in _MEMORY]
        for subject, comparison, _counts in tests
    }
    wanted = [
        (subject, plans_of(findings[subject.nodeid], (head.root,), comparison))
        for subject, comparison, _counts in tests
        if findings[subject.nodeid]
    ]
    found = {}
    for subject, outcome in profile_tests([head], wanted):
        found[subject.nodeid] = (
            Explanation(problem=summarize(str(outcome)))
            if isinstance(outcome, PerfguardError)
            else Explanation(tuple(_counted(findings[subject.nodeid], outcome, counts[subject.nodeid])))
        )
    return found


def _counted(
    findings: Sequence[Finding], taken: Mapping[str, list[ArmProfiles]], counts: Mapping[str, float]
) -> Iterator[MetricExplanation]:
    for finding in findings:
        label = finding.name.partition(":")[2]
        if label in taken and taken[label][0].calls and finding.baseline is not None:
            side = taken[label][0].side(finding.candidate)
            loss = finding.candidate - finding.baseline
            recorded = counts_from_record(counts, label)
            yield explain_counts(
                recorded, side, metric=finding.name, loss=loss, unit=finding.unit,
                complete=len(recorded) < MAX_FUNCTIONS,
            )  # fmt: skip
