"""`--perf-compare`: the baseline file is the screen; what it cannot settle is measured side by side with its commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pytest

from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.core.git import is_installed, repository_around
from pytest_perfguard.core.model import Comparison, Measurement, Record, Verdict
from pytest_perfguard.engine.baseline.commit import commit_of_record, is_commit
from pytest_perfguard.engine.baseline.schema import Baseline
from pytest_perfguard.engine.report.change_text import change_in_words
from pytest_perfguard.engine.runner.revision import Revision, find_revision
from pytest_perfguard.engine.runner.scheduler import MeasuredTest
from pytest_perfguard.engine.verdict import comparability, stopping, stored
from pytest_perfguard.engine.verdict.looks import Spent
from pytest_perfguard.plugin.functional_run import RunState
from pytest_perfguard.plugin.modes.base import (
    Mode,
    PairedBatch,
    baseline_name,
    nothing_judged,
    without_git,
)
from pytest_perfguard.plugin.options import run_settings
from pytest_perfguard.plugin.selection import Selection


class CompareMode(Mode):
    """Measure and judge against the baseline file."""

    name = "compare"

    def __init__(self, config: pytest.Config) -> None:
        super().__init__(config)
        self._baseline: Baseline = self.store.read()
        self._records = self._baseline.tests_of(self.machine.name)
        self._confirm = run_settings(config).confirm
        self._alone: set[str] = set()
        self._revisions: dict[str, Revision | None] = {}
        if self._confirm and is_installed():
            repository_around(config.rootpath)  # one that git refuses is an error before anything runs

    def header(self) -> list[str]:
        if not self._confirm:
            return []
        return without_git(
            self.config.rootpath, "what the baseline file leaves open cannot be measured beside its commit"
        )

    def title(self) -> str:
        return f"perfguard: compared with {baseline_name(self)}"

    def against(self) -> str:
        return baseline_name(self)

    def record_of(self, nodeid: str) -> Record | None:
        return self._records.get(nodeid)

    def settled_before(self, nodeid: str) -> Comparison | None:
        settings, reason = self.settings_of(nodeid), self._incomparable(nodeid)
        if not reason or settings.has_limits:
            return None  # an absolute limit is judged whatever the baseline holds
        return Comparison(nodeid, Verdict.INCOMPARABLE, reason=reason)

    def measured_alone(self, nodeid: str) -> bool:
        return super().measured_alone(nodeid) and (nodeid in self._alone or not self._from_elsewhere(nodeid))

    def judge(self, nodeid: str, measurement: Measurement, spent: Spent) -> Comparison | None:
        record, settings, reason = self.record_of(nodeid), self._settings[nodeid], self._incomparable(nodeid)
        final = spent > Spent.LITTLE
        if record is not None and not reason:
            screen = nodeid not in self._alone and self._revision(record) is not None
            found = stored.judge_stored(nodeid, record, measurement, settings, final=final, screen=screen)
            goes_on = spent is Spent.BUDGET and not screen and found is not None and stored.looks_much_slower(found)
            return None if goes_on else found
        look = stopping.judge_look(nodeid, measurement, settings, final=final)
        if look is None or look.verdict is not None:
            return look
        if measurement.contests and not measurement.samples:  # all that it does is to claim something, and that is so
            return Comparison(nodeid, Verdict.UNCHANGED, look.findings, measurement)
        verdict = Verdict.INCOMPARABLE if reason else Verdict.NEW
        return Comparison(nodeid, verdict, look.findings, measurement, reason or "not in the baseline file")

    def handovers(self, subjects: Sequence[MeasuredTest], decided: Mapping[str, Comparison]) -> Iterator[PairedBatch]:
        found: dict[Revision, PairedBatch] = {}
        for subject in subjects:
            revision, why = self._handed_over(subject.nodeid, decided.get(subject.nodeid))
            if revision is not None:
                handover = found.setdefault(revision, PairedBatch(revision, [], {}))
                handover.subjects.append(subject)
                handover.reasons[subject.nodeid] = why
        return iter(found.values())

    def do_without_pairs(self, nodeids: Iterable[str]) -> None:
        self._alone |= set(nodeids)

    def missing(self, harvest: RunState) -> list[Comparison]:
        measured, selection = {withheld.nodeid for withheld in harvest.withheld}, Selection(self.config, harvest)
        return [
            Comparison(nodeid, Verdict.MISSING, reason=_missing_reason(nodeid, harvest))
            for nodeid in sorted(self._records)
            if nodeid not in measured and selection.includes(nodeid)
        ]

    def nothing_judged(self, comparisons: Sequence[Comparison]) -> str:
        return nothing_judged(comparisons)

    def _handed_over(self, nodeid: str, screened: Comparison | None) -> tuple[Revision | None, str]:
        """The commit to measure beside, and what the baseline file left open; None: the screen's verdict stands."""
        elsewhere = self._from_elsewhere(nodeid)
        if elsewhere is not None and nodeid not in self._alone:
            return self._revision(elsewhere), "recorded on another machine class or interpreter"
        record = self.record_of(nodeid)
        if record is None or screened is None or screened.broken:
            return None, ""
        if nodeid in self._alone or screened.verdict not in (Verdict.REGRESSION, Verdict.INCONCLUSIVE):
            return None, ""
        open_ones = [finding for finding in screened.findings if finding.verdict is screened.verdict]
        told = "".join(f": {finding.name} {change_in_words(finding)}" for finding in open_ones[:1])
        return self._revision(record), f"the baseline file did not clear it{told}"

    def _from_elsewhere(self, nodeid: str) -> Record | None:
        """The record of another machine class whose commit can be had."""
        if nodeid in self._records:
            return None
        records = (part.tests[nodeid] for _name, part in sorted(self._baseline.classes.items()) if nodeid in part.tests)
        return next((record for record in records if self._revision(record) is not None), None)

    def _revision(self, record: Record) -> Revision | None:
        """The commit whose code was recorded; None: it cannot be had, or pairs are switched off."""
        if not self._confirm:
            return None
        key = record.commit if is_commit(record.commit) else repr(record)
        if key not in self._revisions:
            self._revisions[key] = self._find(record)
        return self._revisions[key]

    def _find(self, record: Record) -> Revision | None:
        for name in self._names(record):
            try:
                return find_revision(self.config.rootpath, name)
            except RevisionError:  # rebased away, or never fetched
                continue
        return None

    def _names(self, record: Record) -> Iterator[str]:
        """What its commit may be called, the likeliest first; the second takes a search of the history."""
        if is_commit(record.commit):
            yield record.commit
        if commit := commit_of_record(self.store.path, record):
            yield commit

    def _incomparable(self, nodeid: str) -> str:
        """Why there is nothing to compare with although the test was recorded; "" otherwise."""
        record = self.record_of(nodeid)
        if record is not None:
            return comparability.other_source(record, self.source_of(nodeid))
        others = [name for name, part in self._baseline.classes.items() if nodeid in part.tests]
        if not others:
            return ""
        return (
            f"recorded on another machine class or interpreter ({', '.join(sorted(others))}), this is "
            f"{self.machine.name}; record here with: pytest --perf-baseline"
        )


def _missing_reason(nodeid: str, harvest: RunState) -> str:
    if nodeid in harvest.collected:
        return "in the baseline, and it did not pass in this run"
    return "in the baseline, and no longer among the tests; drop it with: perfguard prune"
