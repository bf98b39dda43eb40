"""Report of a program's start, as a table and as a waterfall. Pure: data in, text out."""

from __future__ import annotations

import html
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pytest_perfguard.core.units import format_duration

#: Characters of the waterfall's bars.
WIDTH: Final = 40


class Outcome(str, Enum):
    """The outcome of a step."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """It was in progress when another one failed."""
    NOT_BEGUN = "not begun"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class StepRecord:
    """One step."""

    name: str
    outcome: Outcome
    begin: float = 0.0
    """Seconds after the beginning of the whole."""
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class StartupReport:
    """All steps, in the order of their beginning."""

    name: str
    steps: tuple[StepRecord, ...]
    seconds: float
    """From the beginning of the first step to the end of the last one."""

    @property
    def ok(self) -> bool:
        """Whether all steps are done."""
        return all(step.outcome is Outcome.DONE for step in self.steps)

    def table(self) -> str:
        """Return a line for each step, and the total."""
        from tabulate import tabulate

        rows = [[step.name, str(step.outcome), _begun(step), _took(step), step.error] for step in self.steps]
        rows.append([self.name, "done" if self.ok else "failed", "", format_duration(self.seconds), ""])
        return tabulate(rows, ["step", "outcome", "begins", "takes", "error"], tablefmt="simple", disable_numparse=True)

    def waterfall(self, width: int = WIDTH) -> str:
        """Return a bar for each step at its place in the whole."""
        longest = max((len(step.name) for step in self.steps), default=0)
        lines = []
        for step in self.steps:
            start, end = self._place(step, width)
            bar = " " * start + "#" * max(1, end - start) if step.outcome is not Outcome.NOT_BEGUN else ""
            lines.append(f"{step.name:{longest}}  |{bar:{width}}|  {_took(step) or step.outcome}")
        return "\n".join([*lines, f"{'':{longest}}   {'':{width}}   {format_duration(self.seconds)}"])

    def to_html(self) -> str:
        """Return the waterfall as a self-contained HTML fragment."""
        rows = []
        for step in self.steps:
            start, end = self._place(step, 1000)
            bar = f"margin-left:{start / 10}%;width:{max(1, end - start) / 10}%;height:1em;background:{_COLOURS[step.outcome]}"
            note = f"{_took(step)} {step.error}".strip() or str(step.outcome)
            rows.append(
                f"<tr><th style='text-align:left;white-space:nowrap'>{html.escape(step.name)}</th>"
                f"<td style='width:100%'><div style='{bar}'></div></td>"
                f"<td style='white-space:nowrap'>{html.escape(note)}</td></tr>"
            )
        caption = html.escape(f"{self.name}: {format_duration(self.seconds)}")
        return f"<table style='width:100%;font-family:sans-serif'><caption>{caption}</caption>{''.join(rows)}</table>"

    def _place(self, step: StepRecord, width: int) -> tuple[int, int]:
        whole = self.seconds or 1.0
        start = min(width - 1, round(step.begin / whole * width))
        return start, min(width, round((step.begin + step.seconds) / whole * width))


_COLOURS: Final = {
    Outcome.DONE: "#4a90d9",
    Outcome.FAILED: "#c0392b",
    Outcome.CANCELLED: "#e0a030",
    Outcome.NOT_BEGUN: "transparent",
}


def _begun(step: StepRecord) -> str:
    return "" if step.outcome is Outcome.NOT_BEGUN else format_duration(step.begin)


def _took(step: StepRecord) -> str:
    return "" if step.outcome is Outcome.NOT_BEGUN else format_duration(step.seconds)
