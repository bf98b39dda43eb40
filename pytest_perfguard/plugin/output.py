"""Write text to the terminal, usage errors and failures, after `text.printable` has made it safe.

A name, a message or a log of a test, a file or a worker may contain terminal control sequences, or a line that a CI system
interprets as a command.
"""

from __future__ import annotations

from typing import NoReturn

import pytest

from pytest_perfguard.core.text import printable, printable_lines, printable_text


def usage_error(problem: object) -> pytest.UsageError:
    """Return the exception that ends a run with exit status 4 and this text."""
    return pytest.UsageError(printable_text(str(problem)))


def fail(problem: str) -> NoReturn:
    """Fail the running test with this text and no traceback."""
    pytest.fail(printable_text(problem), pytrace=False)


def write_line(reporter: pytest.TerminalReporter, line: str, **style: bool) -> None:
    """Write the text as one line, even if it contains line breaks."""
    reporter.write_line(printable(line), **style)


def write_text(reporter: pytest.TerminalReporter, text: str, **style: bool) -> None:
    """Write the lines of the text."""
    for line in printable_lines(text):
        reporter.write_line(line, **style)


def write_section(reporter: pytest.TerminalReporter, title: str) -> None:
    """Begin a section of the terminal summary."""
    reporter.ensure_newline()
    reporter.section(printable(title))


def write_command(reporter: pytest.TerminalReporter, command: str) -> None:
    """Write a workflow command for a CI system. Its parts must be printable already."""
    reporter.write_line(command)
