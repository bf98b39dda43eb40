"""The controller's handle on one measuring process: start it, exchange messages with it, end it."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, TypeVar

from pytest_perfguard.core.errors import (
    ChildDied,
    ChildError,
    ChildTimedOut,
    PerfguardError,
    ProtocolError,
)
from pytest_perfguard.core.system_errors import explain_error
from pytest_perfguard.engine.measure.attribution import ReadingFailed
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureRequest, MeasureResult
from pytest_perfguard.engine.runner.interpreter_flags import interpreter_flags
from pytest_perfguard.engine.runner.protocol import (
    MAX_MESSAGE_BYTES,
    CheckLeaks,
    Hello,
    LeakCheckResult,
    Message,
    Ready,
    RecheckLeaks,
    Shutdown,
    decode,
    encode,
)

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

#: Seconds for the imports and the collection of a process, which take long in a large project.
START_TIMEOUT: Final = 300.0
#: Seconds for a process to end after `Shutdown`, while it tears its session fixtures down.
STOP_TIMEOUT: Final = 30.0
#: Seconds for a process to end after SIGINT, before it is killed.
INTERRUPT_TIMEOUT: Final = 5.0
MAX_LOG_LINES: Final = 25
#: The activity that error messages name before a process is ready.
STARTING_ACTIVITY: Final = "starting and collecting"

_Response = TypeVar("_Response", MeasureResult, LeakCheckResult)

#: Runs before the worker program. It replaces the import path by the one in the first argument; or, if that is null, it
#: removes the current folder that `-c` puts in front unless `-I` or `-P` is set. Then it allocates and keeps a random number
#: of objects of every size, so that each process places later objects elsewhere in memory.
_BOOT: Final = (
    "import sys, os, json; sys.path[:] = json.loads(sys.argv.pop(1)) or sys.path[sys.path[:1] == ['']:]; "
    "heap = [bytes(16 * size - 33) for size in range(3, 33) for _ in range(os.urandom(1)[0] * 4 // size)], "
    "bytearray(256 * os.urandom(1)[0])\n"
)
#: The same with a fixed number of objects, so that processes of one layout are alike.
_BOOT_FIXED: Final = (
    "import sys, json; sys.path[:] = json.loads(sys.argv.pop(1)) or sys.path[sys.path[:1] == ['']:]; "
    "heap = [bytes(16 * size - 33) for size in range(3, 33) for _ in range({layout} * 97 * size % 251 * 4 // size)]\n"
)
#: The arguments of a process are padded with a random number of bytes up to this one, which shifts the start of its C stack.
MAX_STACK_SHIFT: Final = 4096


@dataclass(frozen=True)
class WorkerProgram:
    """The Python program of a measuring process."""

    main: str
    """Statements that run with the arguments in `sys.argv[1:]` and end with the process's exit status."""
    pipe_option: str
    """The option that passes the inherited file descriptor of the pipe: `OPTION=DESCRIPTOR`."""


@dataclass(frozen=True)
class Launch:
    """Everything that is needed to start a measuring process."""

    arguments: Sequence[str]
    """Arguments of the program."""
    folder: Path
    """Working directory."""
    program: WorkerProgram
    python: str = sys.executable
    path: Sequence[str] | None = field(default_factory=lambda: own_import_path())
    """Import path; None: the interpreter's own."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    flags: Sequence[str] = field(default_factory=lambda: interpreter_flags())
    """Options of the interpreter, such as `-X dev`."""
    arm: str = ""
    """`base` or `head` of a pair; empty for a process alone."""
    map_path: Callable[[str], str] = str
    """Map a file of the head to the corresponding file of this process."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Fingerprints of the tests of the run, by node id."""
    prefix: Sequence[str] = ()
    """Words in front of the command, such as a program that starts the interpreter and watches it."""
    layout: int | None = None
    """Number of a fixed layout of the memory; None: each process has another one, at random."""

    def command(self, descriptor: int) -> list[str]:
        """Return the command line of a process that uses this inherited file descriptor."""
        pipe = f"{self.program.pipe_option}={descriptor}"
        boot, shift = _BOOT, int.from_bytes(os.urandom(2), "big") % MAX_STACK_SHIFT
        if self.layout is not None:
            boot, shift = _BOOT_FIXED.format(layout=self.layout), 0
        path = json.dumps(None if self.path is None else list(self.path)) + " " * shift
        words = [self.python, *self.flags, "-c", boot + self.program.main, path, pipe, *self.arguments]
        return [*self.prefix, *words]


def own_import_path() -> tuple[str, ...]:
    """Return the import path of this process."""
    return tuple(entry for entry in sys.path if isinstance(entry, str))


class WorkerProcess:
    """A measuring process, which runs inside the `with` block and is gone after it, also after an error.

    It starts at the beginning of the block. `ready` waits until it has collected, so that two can start at the same time.
    """

    def __init__(self, launch: Launch, nodeids: Sequence[str], files: Sequence[str]) -> None:
        self._launch = launch
        self._nodeids = list(nodeids)
        self._files = sorted({launch.map_path(file) for file in files})
        self._activity = STARTING_ACTIVITY
        self._shutdown_requested = False

    def __enter__(self) -> WorkerProcess:
        with contextlib.ExitStack() as opened:
            try:
                self._open(opened)
            except OSError as error:
                problem = f"starting {self._launch.python}: {explain_error(error)}"
                raise ChildError(problem, arm=self._launch.arm) from None
            self._opened = opened.pop_all()
        try:
            self.send(self._hello())
        except BaseException:
            self._end()
            raise
        return self

    def _hello(self) -> Hello:
        known = self._launch.fingerprints
        wanted = {nodeid: known[nodeid] for nodeid in self._nodeids if nodeid in known}
        return Hello(self._nodeids, self._files, self._folder, wanted, self._launch.arm == "base")

    def _open(self, opened: contextlib.ExitStack) -> None:
        """Create the files and the pipe of the process and start it; `opened` closes all of them."""
        from multiprocessing.connection import Pipe

        folder = tempfile.TemporaryDirectory(prefix="perfguard-", ignore_cleanup_errors=True)
        self._folder = opened.enter_context(folder)
        self._log: IO[bytes] = opened.enter_context(tempfile.TemporaryFile(prefix="perfguard-"))  # noqa: SIM115 - `opened` closes it
        self._connection: Connection[bytes, bytes]
        self._connection, remote = Pipe()
        opened.callback(self._connection.close)
        with contextlib.closing(remote):
            self._process = self._start(remote.fileno())

    def _start(self, descriptor: int) -> subprocess.Popen[bytes]:
        # In a session of its own, so that Ctrl-C reaches only the controller, which then ends the whole process group.
        return subprocess.Popen(
            self._launch.command(descriptor),
            cwd=self._launch.folder,
            env=dict(self._launch.environment),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(descriptor,),
            start_new_session=True,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._shut_down()
        finally:  # also after a Ctrl-C during the wait
            self._end()

    def send(self, message: Message) -> None:
        """Send a message.

        Raises
        ------
        ChildDied
            if the process has closed its end of the pipe.
        """
        try:
            self._connection.send_bytes(encode(message))
        except OSError:
            raise self._died() from None

    def receive(self, *, doing: str, limit: float) -> Message:
        """Return the next message.

        Raises
        ------
        ChildTimedOut
            if it does not arrive within `limit` seconds; `doing` names the activity in the message.
        ChildDied
            if the process has ended.
        """
        self._activity = doing
        try:
            if not self._connection.poll(limit):
                self._kill()
                raise ChildTimedOut(doing, self._last_lines(), limit=limit, arm=self._launch.arm)
            return decode(self._connection.recv_bytes(MAX_MESSAGE_BYTES))
        except (EOFError, OSError):
            raise self._died() from None

    def has_message(self, seconds: float) -> bool:
        """Return whether a message, or the end of the process, arrives within this many seconds."""
        return self._connection.poll(seconds)

    def measure(self, request: MeasureRequest, *, doing: str, limit: float) -> MeasureResult | CallRaised:
        """Send a request to measure and return the response."""
        return self._exchange(request, MeasureResult, doing, limit)

    def check_leaks(
        self, request: CheckLeaks | RecheckLeaks, *, doing: str, limit: float
    ) -> LeakCheckResult | CallRaised:
        """Send a request to check for leaks and return the response."""
        return self._exchange(request, LeakCheckResult, doing, limit)

    def _exchange(self, request: Message, kind: type[_Response], doing: str, limit: float) -> _Response | CallRaised:
        self.send(request)
        response = self.receive(doing=doing, limit=limit)
        if not isinstance(response, kind | CallRaised):
            raise ProtocolError(f"expected {kind.__name__} or CallRaised while {doing}, got {response!r}")
        if isinstance(response, CallRaised) and response.by_instrument:
            raise ReadingFailed(doing, response.text, arm=self._launch.arm)
        return response

    @functools.cached_property
    def ready(self) -> Ready:
        """The first message of the process, sent after its collection."""
        message = self.receive(doing=STARTING_ACTIVITY, limit=START_TIMEOUT)
        if not isinstance(message, Ready):
            raise ProtocolError(f"expected Ready from a new measuring process, got {message!r}")
        return message

    def request_shutdown(self) -> None:
        """Request the end of the process, without waiting for it."""
        if not self._shutdown_requested:
            self._shutdown_requested = True
            with contextlib.suppress(PerfguardError):  # it has ended already; its work is done
                self.send(Shutdown())

    def _shut_down(self) -> None:
        self.request_shutdown()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT)

    def _end(self) -> None:
        with self._opened:
            self._kill()

    def _kill(self) -> None:
        """End the process and all processes it started: by SIGINT, so that its fixtures are torn down, then by SIGKILL."""
        try:
            if self._process.poll() is None:
                self._signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(INTERRUPT_TIMEOUT)
        finally:  # also after a second Ctrl-C during the wait
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the group is empty
            os.killpg(self._process.pid, number)

    def _died(self) -> ChildDied:
        try:
            status = self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:  # it closed the pipe without ending
            self._kill()
            status = self._process.returncode
        return ChildDied(self._activity, self._last_lines(), status=status, arm=self._launch.arm)

    def _last_lines(self) -> str:
        try:
            size = self._log.seek(0, os.SEEK_END)
            self._log.seek(max(0, size - 10_000))
            text = self._log.read().decode(errors="replace")
        except OSError as error:  # the disk fails; report the end of the process all the same
            return f"(its output cannot be read: {error})"
        return "\n".join(text.splitlines()[-MAX_LOG_LINES:])
