"""Untrusted text becomes safe to show."""

from __future__ import annotations

import csv
import io

import pytest

from pytest_perfguard.core.text import csv_cell, printable, printable_lines, printable_text

#: What GitHub's runner, Azure's agent and TeamCity act upon, wherever they look for it.
COMMANDS = [
    "::error::gotcha",
    "  ::set-output name=token::x",
    "\t::add-mask::e",
    "\u2003::warning::blank of another kind",
    "##[set-output name=token;]x",
    "seen before it: ##[error]x",
    "###[error]x",
    "##vso[task.setvariable variable=token]x",
    "a ##teamcity[testFailed name='x']",
]


@pytest.mark.parametrize(
    "text", ["\x1b[2J", "\x1b]0;title\x07", "a\rb", "a\nb", "\x9b31m", "\u202etxt", "\x00", "\udcff", "\u2028"]
)
def test_control_characters_become_visible(text):
    """Nothing steers a terminal, breaks a line or hides."""
    assert printable(text).isprintable()


def test_ordinary_text_stays_as_it_is():
    """Names of any language, colons of node ids, comments."""
    for text in ("tests/test_a.py::TestB::test_c[x-1]", "größer 慢", "a: b", "# not ## a command", "std::vector"):
        assert printable(text) == text


@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_is_a_command_of_a_ci_system(command):
    """Neither alone nor as a line of many; what was written stays readable."""
    for shown in (printable(command), *printable_lines(f"first\n{command}\r\nlast")):
        assert not shown.lstrip().startswith("::")
        assert not any(start in shown for start in ("##[", "##vso[", "##teamcity["))
    assert printable(printable(command)) == printable(command)


def test_lines_are_kept():
    """A log of several lines, with tabs."""
    assert printable_text("a\n\tb\x1b\n\nc\n") == "a\n        b\\x1b\n\nc"


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+2", "-x", "@SUM(A1)", " =1", "-1+2"])
def test_a_cell_is_no_formula(text):
    """A cell that a spreadsheet would evaluate becomes text."""
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [-1, 1.5, "-1", "+2.5e3", "", "tests/a.py::b[-1]", None])
def test_numbers_and_names_are_cells_as_they_are(value):
    """A parameter of -1 is a number."""
    assert csv_cell(value) == value


def test_a_cell_holds_one_line():
    """A reader of lines is not led astray, nor a terminal that shows the file."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow([csv_cell("a\n::error::b\x1b[2J"), csv_cell("::error::c")])
    assert stream.getvalue() == "a\\n::error::b\\x1b[2J,\\x3a:error::c\n"
