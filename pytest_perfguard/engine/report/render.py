"""Render a report in the format that its file's suffix names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_perfguard.engine.history.trends import Trend
from pytest_perfguard.engine.report.document import Report
from pytest_perfguard.engine.report.json import json_report


def rendered(report: Report, name: str, history: Callable[[], Sequence[Trend]] = tuple) -> str:
    """Return the text of the file; `history` is called only for formats that show it."""
    if name.endswith(".json"):
        return json_report(report)
    if name.endswith(".md"):
        from pytest_perfguard.engine.report.markdown import markdown_report

        return markdown_report(report)
    from pytest_perfguard.engine.report.html import html_report

    return html_report(report, history())
