"""`--perf-compare`: screen by the baseline file, and measure side by side with its commit what the file cannot settle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.core.git import find_repository, is_installed
from pytest_perfguard.core.model import Comparison, Measurement, Record, Verdict
from pytest_perfguard.engine.baseline.commit import commit_of_record, is_commit
from pytest_perfguard.engine.baseline.schema import Baseline
from pytest_perfguard.engine.report.text import change_in_words
from pytest_perfguard.engine.runner.revision import Revision, find_revision
from pytest_perfguard.engine.runner.scheduler import MeasuredTest
from pytest_perfguard.engine.verdict import comparability, stopping, stored
from pytest_perfguard.engine.verdict.instructions import why_incomparable
from pytest_perfguard.engine.verdict.looks import Spent
from pytest_perfguard.plugin.modes.base import MeasuringPlan, PairedBatch, PairingMode, baseline_name, without_git
from pytest_perfguard.plugin.options import counted_metrics, run_settings


class CompareMode(PairingMode):
    """Measure, and judge against the baseline file."""

    name = "compare"

    def __init__(self, config: pytest.Config) -> None:
        super().__init__(config)
        self._baseline: Baseline = self.store.read()
        self.records = self._baseline.tests_of(self.machine.name)
        self.against = baseline_name(self)
        self.title = f"perfguard: compared with {self.against}"
        self._confirm = run_settings(config).confirm
        self._revisions: dict[str, Revision | None] = {}
        if self._confirm:
            self.header = without_git(
                config.rootpath, "what the baseline file leaves open cannot be measured beside its commit"
            )
            if is_installed():
                find_repository(config.rootpath)  # raises now, before any test runs, if git refuses the repository

    def plan(self, tests: Sequence[MeasuredTest]) -> MeasuringPlan:
        settled = {test.nodeid: comparison for test in tests if (comparison := self._settled(test.nodeid)) is not None}
        alone = [test for test in tests if test.nodeid not in settled and self._is_measured_alone(test.nodeid)]
        return MeasuringPlan(settled, alone)

    def judge(self, nodeid: str, measurement: Measurement, spent: Spent) -> Comparison | None:
        record, settings, reason = self.record_of(nodeid), self.settings_of(nodeid), self._incomparable(nodeid)
        final = spent > Spent.LITTLE
        if record is not None and reason is None:
            screen = nodeid not in self.without_pairs and self._revision(record) is not None
            chosen = settings.for_pairs() if screen else settings
            found = stored.judge_stored(nodeid, record, measurement, chosen, final=final, screen=screen)
            continues = spent is Spent.BUDGET and not screen and found is not None and stored.looks_much_slower(found)
            return None if continues else found
        look = stopping.judge_look(nodeid, measurement, settings, final=final)
        if look is None or look.verdict is not None:
            return look
        if measurement.claims and not measurement.samples:  # it only makes claims, and they hold
            return Comparison(nodeid, Verdict.UNCHANGED, look.findings, measurement)
        verdict = Verdict.NEW if reason is None else Verdict.INCOMPARABLE
        return Comparison(nodeid, verdict, look.findings, measurement, reason or "not in the baseline file")

    def batches(self, tests: Sequence[MeasuredTest], decided: Mapping[str, Comparison]) -> list[PairedBatch]:
        found: dict[Revision, PairedBatch] = {}
        for test in tests:
            confirmation = self._confirmation(test.nodeid, decided.get(test.nodeid))
            if confirmation is not None:
                revision, reason = confirmation
                batch = found.setdefault(revision, PairedBatch(revision, [], {}))
                batch.tests.append(test)
                batch.reasons[test.nodeid] = reason
        return list(found.values())

    def count_record_of(self, nodeid: str, conditions: str) -> Record | None:
        """Return the record of this machine class, or of another one, whose counts were taken under these conditions."""
        parts = [self.records, *(part.tests for _name, part in sorted(self._baseline.classes.items()))]
        records = (tests[nodeid] for tests in parts if nodeid in tests)
        same = (record for record in records if record.counting == conditions)
        return next((each for each in same if not comparability.changed_source(each, self.source_of(nodeid))), None)

    def unjudged_count(self, test: MeasuredTest, conditions: str) -> tuple[Verdict, str]:
        records = [part.tests[test.nodeid] for part in self._baseline.classes.values() if test.nodeid in part.tests]
        if not records:
            return super().unjudged_count(test, conditions)
        reason = why_incomparable(records, self.source_of(test.nodeid), conditions)
        return Verdict.INCOMPARABLE, f"{reason}; {self._remedy()}"

    def _settled(self, nodeid: str) -> Comparison | None:
        """Return the verdict if it needs no measurement. A test with an absolute limit is measured in any case."""
        reason = self._incomparable(nodeid)
        if reason is None or self.settings_of(nodeid).has_limits:
            return None
        return Comparison(nodeid, Verdict.INCOMPARABLE, reason=reason)

    def _is_measured_alone(self, nodeid: str) -> bool:
        return nodeid in self.without_pairs or self._from_elsewhere(nodeid) is None

    def _confirmation(self, nodeid: str, screened: Comparison | None) -> tuple[Revision, str] | None:
        """Return the commit to measure beside, and the reason; None: the verdict of the screen stands."""
        elsewhere = self._from_elsewhere(nodeid)
        if elsewhere is not None and nodeid not in self.without_pairs:
            return self._with_revision(elsewhere, "recorded on another machine class or interpreter")
        record = self.record_of(nodeid)
        if record is None or screened is None or screened.broken:
            return None
        if nodeid in self.without_pairs or screened.verdict not in (Verdict.REGRESSION, Verdict.INCONCLUSIVE):
            return None
        open_findings = [finding for finding in screened.findings if finding.verdict is screened.verdict]
        detail = "".join(f": {finding.name} {change_in_words(finding)}" for finding in open_findings[:1])
        return self._with_revision(record, f"the baseline file did not clear it{detail}")

    def _with_revision(self, record: Record, reason: str) -> tuple[Revision, str] | None:
        revision = self._revision(record)
        return None if revision is None else (revision, reason)

    def _from_elsewhere(self, nodeid: str) -> Record | None:
        """Return a record of another machine class whose commit is available; None if this class has a record."""
        if nodeid in self.records:
            return None
        records = (part.tests[nodeid] for _name, part in sorted(self._baseline.classes.items()) if nodeid in part.tests)
        return next((record for record in records if self._revision(record) is not None), None)

    def _revision(self, record: Record) -> Revision | None:
        """Return the commit whose code was recorded; None if it is not available or pairs are switched off."""
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
        """Names of the record's commit, the likeliest first; the second one needs a search of the history."""
        if is_commit(record.commit):
            yield record.commit
        if commit := commit_of_record(self.store.path, record):
            yield commit

    def _incomparable(self, nodeid: str) -> str | None:
        """Return why a test that was recorded cannot be compared, otherwise None."""
        record = self.record_of(nodeid)
        if record is not None:
            changed = comparability.changed_source(record, self.source_of(nodeid))
            return f"{changed}; {self._remedy()}" if changed else None
        others = [name for name, part in self._baseline.classes.items() if nodeid in part.tests]
        if not others:
            return None
        return (
            f"recorded on another machine class or interpreter ({', '.join(sorted(others))}), this is "
            f"{self.machine.name}; {self._remedy()}"
        )

    def _remedy(self) -> str:
        metrics = " --perf-metrics=+instructions" if counted_metrics(self.config) else ""
        return f"record here with: pytest --perf-baseline{metrics}"
