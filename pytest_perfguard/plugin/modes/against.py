"""`--perf-against=REV`: measure every perf test side by side with a git revision."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import pytest

from pytest_perfguard.core.model import Comparison
from pytest_perfguard.engine.measure.affinity import CpuAffinity
from pytest_perfguard.engine.runner.messages_between import messages_since
from pytest_perfguard.engine.runner.revision import check_usable, find_revision
from pytest_perfguard.engine.runner.scheduler import MeasuredTest
from pytest_perfguard.engine.verdict.acceptance import (
    Message,
    accept,
    accepted_in_words,
    read_acceptances,
    without_tests,
)
from pytest_perfguard.engine.verdict.looks import PAIR_LOOKS
from pytest_perfguard.engine.verdict.paired import MAX_PAIRS, UNPINNED_THRESHOLD
from pytest_perfguard.plugin.functional_run import RunState
from pytest_perfguard.plugin.modes.base import MeasuringPlan, PairedBatch, PairingMode
from pytest_perfguard.plugin.options import revision_name, run_settings

#: The description of the pull request and its author, which a CI job may pass on. It may accept regressions, as commits may.
ACCEPT_VARIABLE: Final = "PERFGUARD_ACCEPT"
ACCEPT_AUTHOR_VARIABLE: Final = "PERFGUARD_ACCEPT_BY"


class AgainstMode(PairingMode):
    """Find and check the revision before any test runs, and check it out when the ordinary tests have run."""

    name = "against"
    may_fall_back = False

    def __init__(self, config: pytest.Config) -> None:
        super().__init__(config)
        self.revision = find_revision(config.rootpath, revision_name(config))
        check_usable(self.revision)
        self._acceptances = read_acceptances([*_pull_request(), *messages_since(self.revision)])
        self.against = self.revision.label
        self.title = f"perfguard: measured side by side with {self.revision.label}"
        threshold = run_settings(config).paired_threshold
        self.header = [
            f"perfguard: this tree against {self.revision.label}, {PAIR_LOOKS[0]} to {MAX_PAIRS} pairs of processes per test, "
            f"threshold {threshold:.1%}"
        ]
        if not CpuAffinity().is_supported:
            self.header.append(
                "perfguard: processes cannot be pinned to a CPU here, so only changes of more than "
                f"{max(threshold, UNPINNED_THRESHOLD):.0%} can be detected"
            )

    def final(self, comparison: Comparison) -> Comparison:
        return accept(comparison, self._acceptances.found)

    def remarks(self, comparisons: Sequence[Comparison], state: RunState) -> list[str]:
        accepted = [comparison for comparison in comparisons if comparison.accepted_by]
        return [
            *(f"accepted regression: {accepted_in_words(comparison)}" for comparison in accepted),
            *self._acceptances.warnings,
            *without_tests(self._acceptances.found, state.found),
        ]

    def plan(self, tests: Sequence[MeasuredTest]) -> MeasuringPlan:
        return MeasuringPlan({}, [])

    def batches(self, tests: Sequence[MeasuredTest], decided: Mapping[str, Comparison]) -> list[PairedBatch]:
        return [PairedBatch(self.revision, list(tests))] if tests else []


def _pull_request() -> Iterator[Message]:
    if text := os.environ.get(ACCEPT_VARIABLE, ""):
        yield Message(os.environ.get(ACCEPT_AUTHOR_VARIABLE, "") or "its author", "the pull request", text)
