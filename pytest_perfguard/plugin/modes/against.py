"""`--perf-against=REV`: everything is measured side by side with a git revision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from pytest_perfguard.core.model import Comparison
from pytest_perfguard.engine.measure.affinity import CpuAffinity
from pytest_perfguard.engine.runner.revision import check_usable, find_revision
from pytest_perfguard.engine.runner.scheduler import MeasuredTest
from pytest_perfguard.engine.verdict.looks import PAIR_LOOKS
from pytest_perfguard.engine.verdict.paired import MAX_PAIRS, UNPINNED_THRESHOLD
from pytest_perfguard.plugin.modes.base import Mode, PairedBatch, nothing_judged
from pytest_perfguard.plugin.options import revision_name, run_settings


class AgainstMode(Mode):
    """The revision is found and checked before anything runs; it is checked out when the ordinary tests are done."""

    name = "against"
    may_fall_back = False

    def __init__(self, config: pytest.Config) -> None:
        super().__init__(config)
        self.revision = find_revision(config.rootpath, revision_name(config))
        check_usable(self.revision)

    def header(self) -> list[str]:
        settings = run_settings(self.config)
        lines = [
            f"perfguard: this tree against {self.revision.label}, {PAIR_LOOKS[0]} to {MAX_PAIRS} pairs of processes per test, "
            f"threshold {settings.threshold:.1%}"
        ]
        if not CpuAffinity().is_supported:
            lines.append(
                "perfguard: processes cannot be pinned to a CPU here, so that only changes of more than "
                f"{max(settings.threshold, UNPINNED_THRESHOLD):.0%} can be told"
            )
        return lines

    def measured_alone(self, nodeid: str) -> bool:
        return False

    def handovers(self, subjects: Sequence[MeasuredTest], decided: Mapping[str, Comparison]) -> Iterator[PairedBatch]:
        if subjects:
            yield PairedBatch(self.revision, list(subjects))

    def title(self) -> str:
        return f"perfguard: measured side by side with {self.revision.label}"

    def against(self) -> str:
        return self.revision.label

    def nothing_judged(self, comparisons: Sequence[Comparison]) -> str:
        return nothing_judged(comparisons)
