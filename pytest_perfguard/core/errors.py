"""All errors of perfguard, as one tree. `tool_errors.py` defines those of the tools, and draws their part of the tree.

PerfguardError
|-- SettingError         an option, ini key or marker keyword has an invalid value
|-- BaselineError        the baseline file cannot be used; it is unchanged
|   |-- BaselineMissing
|   `-- BaselineUnreadable   an UnreadableFile
|-- UnreadableFile       the content of a file is not valid
|   |-- ReportUnreadable
|   `-- DumpUnreadable   a dump of callgrind
|-- CommandError         a verb of the command `perfguard` failed
|-- RevisionError        the git revision to measure against is not available
|-- WrongCode            a measuring process imported other code than it should measure
|-- LeakError            a leak, or growth beyond a limit; an AssertionError
|-- CannotCheck          a leak check is impossible, or its budget was too small
|   `-- CannotRepeat
|-- MissingExtra         a required optional package is not installed
|-- SeriesError          invalid name, label or kind of a monitor's series; too many series
|-- ExpressionError      syntax error in the expression of an alert; `column` is its place
|-- AlertError           an alert with the action "fail" fired; an AssertionError
|-- ProtocolError        invalid message between the controller and a measuring process
|-- ChildError           a measuring process failed
|   |-- ChildDied
|   |-- ChildTimedOut
|   |-- NeverReady       one arm of a pair waits for a resource that the other one holds
|   `-- ReadingFailed    an instrument failed in a measuring process
|-- NoSource             nothing here can count instructions
|-- CannotCount          nothing counts the instructions of this process
|   |-- NotUnderCallgrind    it does not run under callgrind
|   `-- NoHardwareCounter    the kernel or the machine counts none
|-- InstrumentFailed     an instrument could not take its reading
|-- TestFailed           a test that passed its functional run failed in a measuring process
|   `-- FailedAfterCalls     after repeated calls: it may work with one call per set-up
|-- OtherTest            the base cannot run a test, or runs another one under its node id
`-- Unprofiled           a test cannot be profiled

DumpUnreadable and the last eleven, except CannotCount, are defined where the engine raises and handles them.

Errors hold their facts as attributes and build their text in `__str__`."""

from __future__ import annotations

from collections.abc import Sequence


class PerfguardError(Exception):
    """Base of all errors of this package."""

    def __reduce__(self) -> tuple[object, ...]:
        # Errors must survive a process boundary; the default would call the class without its keyword arguments.
        return _revive, (type(self), self.args, self.__dict__)


def _revive(kind: type[PerfguardError], args: tuple[object, ...], fields: dict[str, object]) -> PerfguardError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class SettingError(PerfguardError, ValueError):
    """A setting has an invalid value.

    `problem` holds the value and the valid choices; `place` the source of the value: `--perf-budget`,
    `perf_budget in the ini file`, `budget in the marker perf of tests/test_a.py::test_b`.
    """

    def __init__(self, problem: str, place: str = "") -> None:
        self.problem = problem
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}" if self.place else self.problem


class BaselineError(PerfguardError):
    """The baseline file cannot be used."""


class BaselineMissing(BaselineError):
    """There is no baseline file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __str__(self) -> str:
        return f"no baseline file {self.path}; record one with: pytest --perf-baseline"


class UnreadableFile(PerfguardError):
    """The content of a file is not valid. `line` counts from 1; None where it is not known."""

    REMEDY = ""

    def __init__(self, path: str, problem: str, line: int | None = None, remedy: str = "") -> None:
        self.path = path
        self.problem = problem
        self.line = line
        self.remedy = remedy or self.REMEDY

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{where}: {self.problem}; the file is unchanged; {self.remedy}"


class BaselineUnreadable(UnreadableFile, BaselineError):
    """The content of the baseline file is not valid."""

    REMEDY = "restore it from version control, or move it away and record again with: pytest --perf-baseline"


class ReportUnreadable(UnreadableFile):
    """The content of a JSON report is not valid."""

    REMEDY = "write it again with: pytest --perf-compare --perf-report=x.json"


class CommandError(PerfguardError):
    """A verb of the command failed; the text contains the reason and the remedy."""


class RevisionError(PerfguardError):
    """A revision cannot be checked out or used. `problem` names it and the reason, `remedy` the next step."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem


class WrongCode(PerfguardError):
    """`module` was imported from `file`, which is not the code that the `arm` (base or head) should measure."""

    def __init__(self, arm: str, module: str, file: str, problem: str, remedy: str) -> None:
        self.arm = arm
        self.module = module
        self.file = file
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"the {self.arm} imported {self.module} from {self.file}: {self.problem}; {self.remedy}"


class LeakError(PerfguardError, AssertionError):
    """A leak, or growth beyond a limit. `lines` describe the growth, its allocation sites and the objects that keep it."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = tuple(lines)

    def __str__(self) -> str:
        return "\n".join(self.lines)


class CannotCheck(PerfguardError):
    """A leak check of a function is impossible or undecided; `reason` contains the remedy."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class CannotRepeat(CannotCheck):
    """A later call raised `problem`: a function that cannot be called again cannot be checked for leaks."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"a leak check calls the function repeatedly, and a later call raised {problem}; restore the state in between"
        )


class CannotCount(PerfguardError):
    """Nothing counts the instructions of this process."""


class MissingExtra(PerfguardError, ImportError):
    """`what` needs the package `package`, which perfguard's extra `extra` installs."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        self.what = what
        self.package = package
        self.extra = extra

    def __str__(self) -> str:
        return f"{self.what} needs {self.package}: pip install 'perfguard[{self.extra}]'"


class SeriesError(PerfguardError, ValueError):
    """A series of the performance monitor has an invalid name, labels or kind."""


class ExpressionError(PerfguardError, ValueError):
    """The expression of an alert has a syntax error at `column`, counted from 1; `problem` names the expected syntax."""

    def __init__(self, text: str, column: int, problem: str) -> None:
        self.text = text
        self.column = column
        self.problem = problem

    def __str__(self) -> str:
        return f"alert, column {self.column}: {self.problem}\n    {self.text}\n    {' ' * (self.column - 1)}^"


class AlertError(PerfguardError, AssertionError):
    """An alert with the action "fail" fired: one of the `lines` per series."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = tuple(lines)

    def __str__(self) -> str:
        return "\n".join(self.lines)


class ProtocolError(PerfguardError):
    """A message in the pipe is not valid."""


class ChildError(PerfguardError):
    """A measuring process failed while `doing` something; `log` holds the last lines of its output.

    `arm` is "base" or "head" where two are measured side by side.
    """

    def __init__(self, doing: str, log: str = "", *, arm: str = "") -> None:
        self.doing = doing
        self.log = log
        self.arm = arm

    def what_happened(self) -> str:
        return "failed"

    def __str__(self) -> str:
        tail = f"\n--- last lines of the measuring process ---\n{self.log}" if self.log else ""
        of = f" of the {self.arm}" if self.arm else ""
        return f"the measuring process{of} {self.what_happened()} while {self.doing}{tail}"


class ChildDied(ChildError):
    """The process ended unexpectedly; a negative `status` is the signal that ended it."""

    def __init__(self, doing: str, log: str = "", *, status: int, arm: str = "") -> None:
        super().__init__(doing, log, arm=arm)
        self.status = status

    def what_happened(self) -> str:
        if self.status >= 0:
            return f"exited with status {self.status}"
        import signal

        try:
            return f"was ended by {signal.Signals(-self.status).name}"
        except ValueError:
            return f"was ended by signal {-self.status}"


class ChildTimedOut(ChildError):
    """The process did not answer within `limit` seconds and was killed."""

    def __init__(self, doing: str, log: str = "", *, limit: float, arm: str = "") -> None:
        super().__init__(doing, log, arm=arm)
        self.limit = limit

    def what_happened(self) -> str:
        return f"did not respond within the time limit of {self.limit:.0f} s and was killed"
