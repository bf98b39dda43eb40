"""Every error that perfguard raises, as one tree.

PerfguardError
|-- SettingError         a value that the user wrote is wrong: option, ini key or marker keyword
|-- BaselineError        the baseline file cannot be used; it is never changed by whoever raises this
|   |-- BaselineMissing
|   `-- BaselineUnreadable   an UnreadableFile
|-- UnreadableFile       a file exists and does not hold what it should
|   `-- ReportUnreadable
|-- CommandError         a verb of the command `perfguard` cannot be carried out
|-- RevisionError        the git revision to measure against cannot be had
|-- WrongCode            a measuring process would measure other code than it should
|-- LeakError            something leaks, or grew beyond its limit; an AssertionError
|-- CannotCheck          a leak check that cannot be made, or that its budget left open
|   `-- CannotRepeat
|-- MissingExtra         an optional package is needed and not installed
|-- SeriesError          a name, a label or a kind that a series of the monitor cannot have; too many series
|-- ExpressionError      an alert's expression cannot be read; `column` says where
|-- AlertError           an alert with the action "fail" holds; an AssertionError
|-- ProtocolError        a message between the controller and a measuring process makes no sense
`-- ChildError           a measuring process did not do its work
    |-- ChildDied
    `-- ChildTimedOut

Errors keep their facts as fields and build their text in `__str__`."""

from __future__ import annotations

from collections.abc import Sequence


class PerfguardError(Exception):
    """Base of all errors of this package."""

    def __reduce__(self) -> tuple[object, ...]:
        # The default would call the class without its keyword fields; errors must survive a process boundary.
        return _revive, (type(self), self.args, self.__dict__)


def _revive(kind: type[PerfguardError], args: tuple[object, ...], fields: dict[str, object]) -> PerfguardError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class SettingError(PerfguardError, ValueError):
    """A setting has a value that cannot be used.

    `problem` says what is wrong, with the value and the valid choices; `place` where it was written: `--perf-budget`,
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
    """A file exists and does not hold what it should. `line` counts from 1, where it is known."""

    REMEDY = ""

    def __init__(self, path: str, problem: str, line: int | None = None, remedy: str = "") -> None:
        self.path = path
        self.problem = problem
        self.line = line
        self.remedy = remedy or self.REMEDY

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{where}: {self.problem}; the file was left as it is; {self.remedy}"


class BaselineUnreadable(UnreadableFile, BaselineError):
    """The baseline file cannot be understood."""

    REMEDY = "restore it from version control, or move it away and record anew with: pytest --perf-baseline"


class ReportUnreadable(UnreadableFile):
    """A JSON report cannot be understood."""

    REMEDY = "write it anew with: pytest --perf-compare --perf-report=x.json"


class CommandError(PerfguardError):
    """A verb of the command cannot be carried out; the text says why and what to do."""


class RevisionError(PerfguardError):
    """A revision cannot be checked out or is of no use; `problem` says which and why, `remedy` what to do."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem


class WrongCode(PerfguardError):
    """`module` was imported from `file`, which is not the code that the `arm` (base or head) is there to measure."""

    def __init__(self, arm: str, module: str, file: str, problem: str, remedy: str) -> None:
        self.arm = arm
        self.module = module
        self.file = file
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"the {self.arm} imported {self.module} from {self.file}: {self.problem}; {self.remedy}"


class LeakError(PerfguardError, AssertionError):
    """Something leaks, or grew beyond its limit: `lines` say what, where it was allocated and what keeps it."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = tuple(lines)

    def __str__(self) -> str:
        return "\n".join(self.lines)


class CannotCheck(PerfguardError):
    """Nothing can be said of a function; `reason` says why and what to do."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class CannotRepeat(CannotCheck):
    """A later call raised `problem`: nothing can be said of a function that cannot be called again."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"a leak check calls again and again, and a later call raised {problem}; restore the state in between"
        )


class MissingExtra(PerfguardError, ImportError):
    """`what` needs the package `package`, which perfguard's extra `extra` brings."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        self.what = what
        self.package = package
        self.extra = extra

    def __str__(self) -> str:
        return f"{self.what} needs {self.package}: pip install 'perfguard[{self.extra}]'"


class SeriesError(PerfguardError, ValueError):
    """A series of the performance monitor cannot be had under this name, with these labels, or of this kind."""


class ExpressionError(PerfguardError, ValueError):
    """An alert's expression makes no sense at `column`, counted from 1; `problem` says what was expected there."""

    def __init__(self, text: str, column: int, problem: str) -> None:
        self.text = text
        self.column = column
        self.problem = problem

    def __str__(self) -> str:
        return f"alert, column {self.column}: {self.problem}\n    {self.text}\n    {' ' * (self.column - 1)}^"


class AlertError(PerfguardError, AssertionError):
    """What an alert with the action "fail" watches for has come: one of the `lines` per series."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = tuple(lines)

    def __str__(self) -> str:
        return "\n".join(self.lines)


class ProtocolError(PerfguardError):
    """A message of the pipe is not one of the protocol's."""


class ChildError(PerfguardError):
    """A measuring process failed while `doing` something; `log` has the last lines that it wrote.

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
    """The process ended without having been told to; a negative `status` is the signal that ended it."""

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
        return f"gave no answer within the time limit of {self.limit:.0f} s and was killed"
