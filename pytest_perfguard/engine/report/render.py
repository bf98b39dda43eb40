"""Render a report in the format that its file's suffix names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_perfguard.engine.history.trends import Trend
from pytest_perfguard.engine.report.document import Report
from pytest_perfguard.engine.report.json import json_report


def rendered(report: Report, name: str, history: Callable[[], Sequence[Trend]] = tuple) -> str:
    """Return the text of the file; `history` is called only for formats that show it."""
    if name.endswith((".folded", ".speedscope.json")):
        from pytest_perfguard.engine.report.flame import folded, speedscope

        explained = ((entry.nodeid, entry.comparison.explanation) for entry in report.entries)
        flames = ((nodeid, flame) for nodeid, found in explained if found is not None for flame in found.flames)
        return folded(flames) if name.endswith(".folded") else speedscope(flames)
    if name.endswith(".json"):
        return json_report(report)
    if name.endswith(".csv"):
        from pytest_perfguard.engine.report.csv import csv_report

        return csv_report(report)
    if name.endswith(".md"):
        from pytest_perfguard.engine.report.markdown import markdown_report

        return markdown_report(report)
    from pytest_perfguard.engine.report.html import html_report

    return html_report(report, history())
