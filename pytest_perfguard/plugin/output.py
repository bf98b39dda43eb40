"""Put text where pytest shows it: the terminal, usage errors, failures. All of it passes `text.printable` here.

A name, a message or a log that comes from a test, a file or a worker can hold sequences that steer a terminal, or a line that a
CI system takes for a command.
"""

from __future__ import annotations

from typing import NoReturn

import pytest

from pytest_perfguard.core.text import printable, printable_lines, printable_text


def usage_error(problem: object) -> pytest.UsageError:
    """Return the error that ends a run with exit status 4 and this text."""
    return pytest.UsageError(printable_text(str(problem)))


def fail(problem: str) -> NoReturn:
    """Fail the running test with this text and no traceback."""
    pytest.fail(printable_text(problem), pytrace=False)


def write_line(reporter: pytest.TerminalReporter, line: str, **style: bool) -> None:
    """Write one line, whatever is in the text."""
    reporter.write_line(printable(line), **style)


def write_text(reporter: pytest.TerminalReporter, text: str, **style: bool) -> None:
    """Write the lines of the text."""
    for line in printable_lines(text):
        reporter.write_line(line, **style)


def write_section(reporter: pytest.TerminalReporter, title: str) -> None:
    """Begin a section of the terminal summary."""
    reporter.section(printable(title))


def write_command(reporter: pytest.TerminalReporter, command: str) -> None:
    """Write a command of ours to a CI system; what it is made from is printable already."""
    reporter.write_line(command)
