"""Profile tests that became worse and add explanations to their comparisons; count calls for the baseline file."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_perfguard.core.explanation import Explanation
from pytest_perfguard.core.git import git_or_empty
from pytest_perfguard.core.model import Comparison
from pytest_perfguard.core.system_errors import explain_error
from pytest_perfguard.engine.profile.diff_lines import changed_lines, mark_changed
from pytest_perfguard.engine.profile.profile_runner import Arm, count_calls, explain_counted, explain_pairs
from pytest_perfguard.engine.runner.base_tree import Arms
from pytest_perfguard.engine.runner.process import Launch
from pytest_perfguard.engine.runner.scheduler import MeasuredTest
from pytest_perfguard.plugin.capture import error_summary


def with_explanations(
    arms: Arms,
    rootdir: Path,
    commit: str,
    tests: Sequence[MeasuredTest],
    comparisons: Mapping[str, Comparison],
    *,
    apart: Collection[str],
) -> dict[str, Comparison]:
    """Return the comparisons of these tests with explanations; `apart` are tests whose sides cannot be alive at once.

    An explanation is an extra: a failure becomes its text, and the verdict stands.
    """
    root = os.fspath(rootdir)
    base, head = Arm(arms.base, arms.base.map_path(root)), Arm(arms.head, root)
    found: dict[str, Explanation] = {}
    for together in (True, False):
        chosen = [(test, comparisons[test.nodeid]) for test in tests if (test.nodeid not in apart) is together]
        if chosen:
            try:
                found |= explain_pairs(base, head, chosen, summarize=error_summary, together=together)
            except Exception as error:
                problem = error_summary(explain_error(error))
                found |= {test.nodeid: Explanation(problem=problem) for test, _comparison in chosen}
    changed = changed_lines(
        git_or_empty(rootdir, "diff", "--unified=0", "--no-color", "--no-ext-diff", "--relative", commit)
    )
    return {
        nodeid: replace(comparisons[nodeid], explanation=mark_changed(explanation, changed))
        for nodeid, explanation in found.items()
    }


def with_counted_explanations(
    launch: Launch,
    rootdir: Path,
    tests: Sequence[MeasuredTest],
    comparisons: Mapping[str, Comparison],
    counts: Mapping[str, Mapping[str, float]],
) -> dict[str, Comparison]:
    """Explain tests without a base, by a profile of this tree and the numbers of calls in the baseline file."""
    chosen = [(test, comparisons[test.nodeid], counts[test.nodeid]) for test in tests]
    try:
        found = explain_counted(Arm(launch, os.fspath(rootdir)), chosen, summarize=error_summary)
    except Exception as error:
        found = {test.nodeid: Explanation(problem=error_summary(explain_error(error))) for test in tests}
    return {nodeid: replace(comparisons[nodeid], explanation=explanation) for nodeid, explanation in found.items()}


def with_calls(
    launch: Launch, rootdir: Path, tests: Sequence[MeasuredTest], comparisons: Mapping[str, Comparison]
) -> dict[str, Comparison]:
    """Return the comparisons of these tests with the numbers of calls that the baseline file keeps.

    They are an extra: where no process can be started, none are kept.
    """
    chosen = [(test, comparisons[test.nodeid]) for test in tests]
    counted = count_calls(Arm(launch, os.fspath(rootdir)), chosen)
    return {
        nodeid: replace(comparisons[nodeid], measurement=replace(comparisons[nodeid].measurement, calls=calls))
        for nodeid, calls in counted.items()
    }
