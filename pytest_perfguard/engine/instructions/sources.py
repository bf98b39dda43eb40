"""The sources of instruction counts on this machine, and what a count depends on."""

from __future__ import annotations

import functools
import hashlib
import locale
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_perfguard.core.errors import PerfguardError
from pytest_perfguard.engine.instructions.callgrind import MACHINE_CODE
from pytest_perfguard.engine.instructions.hardware import problem_with_hardware

CALLGRIND: Final = "callgrind"
HARDWARE: Final = "hardware"
#: Features by which glibc and other libraries choose their code, as far as valgrind passes them on.
_DISPATCH_FLAGS: Final = ("avx2", "avx", "sse4_2", "sse3", "asimd")
#: Variables of the environment that choose other code for allocations, for the interpreter or for the C library.
_VARIABLES: Final = (
    "GLIBC_TUNABLES", "LD_PRELOAD", "PYTHONMALLOC", "PYTHONTRACEMALLOC", "PYTHONASYNCIODEBUG", "PYTHON_JIT",
)  # fmt: skip
#: Options of the interpreter (`-X`) that do so.
_OPTIONS: Final = ("tracemalloc",)
_VERSION_SECONDS: Final = 30.0
#: The one problem that the user can solve.
NOT_INSTALLED: Final = "valgrind is not installed"
_INSTALL: Final = (
    "Install valgrind (apt install valgrind, dnf install valgrind, brew install valgrind, "
    "conda install -c conda-forge valgrind)"
)


class NoSource(PerfguardError):
    """Neither source can be used; `problems` names the reason for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)

    def __str__(self) -> str:
        advice = f"{_INSTALL}, or leave" if NOT_INSTALLED in self.problems else "Leave"
        return (
            f"the metric instructions cannot be measured here: {'; '.join(self.problems)}. {advice} the metric out of "
            "--perf-metrics, of the ini key perf_metrics or of the marker's metrics, whichever names it"
        )


@dataclass(frozen=True)
class Source:
    """A way to count instructions."""

    name: str
    """`callgrind` or `hardware`: also the name of the instrument."""
    version: str
    program: str
    """The program that starts the measuring process."""

    def __str__(self) -> str:
        if self.name == HARDWARE:
            return "the hardware counter of the CPU"
        return f"callgrind ({self.version})"

    def command(self, out_file: Path) -> list[str]:
        """Return the words that go before the command of a measuring process."""
        if self.name == HARDWARE:
            return [self.program, "-R"] if self.program else []
        return [
            self.program,
            "-q",
            "--vgdb=no",  # it makes files in the folder for temporary files, which remain if the process is killed
            "--tool=callgrind",
            "--instr-atstart=no",
            "--dump-line=no",
            f"--callgrind-out-file={out_file}",
        ]

    @functools.cached_property
    def conditions(self) -> str:
        """Everything that a count depends on, beside the code: counts of the same conditions are comparable."""
        python = f"{platform.python_implementation()} {platform.python_version()} {_build()}"
        dispatch = _dispatch(self.name)
        parts = [
            f"{self.name} {self.version}".strip(),
            python,
            platform.machine(),
            _libc(),
            dispatch,
            _encoding(),
            *_modes(),
        ]
        return ", ".join(part for part in parts if part)


@functools.cache
def find_source() -> Source:
    """Return the source of this machine: hardware counters, or callgrind.

    Raises
    ------
    NoSource
    """
    hardware = problem_with_hardware()
    if hardware is None:
        return Source(HARDWARE, "", shutil.which("setarch") or "")
    callgrind = _callgrind(dict(os.environ))
    if isinstance(callgrind, Source):
        return callgrind
    raise NoSource([hardware, callgrind])


def _callgrind(environment: Mapping[str, str]) -> Source | str:
    """Return the source, or why it cannot be used."""
    if platform.system() != "Linux" or platform.machine() not in MACHINE_CODE:
        return f"callgrind cannot be controlled on {platform.system()} {platform.machine()}"
    program = shutil.which("valgrind", path=environment.get("PATH"))
    if program is None:
        return NOT_INSTALLED
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"{program} cannot be started: {error}"
    if done.returncode:
        return f"{program} --version exited with status {done.returncode}"
    return Source(CALLGRIND, done.stdout.strip(), program)


def real_interpreter(python: str) -> str:
    """Return the program behind an interpreter that is a script, as those of pyenv are; any other is returned as it is.

    Valgrind would count the shell that runs the script. A script that passes its own name on is `sys.executable` itself: the
    kernel knows the program.
    """
    path = shutil.which(python) or python
    try:
        if not _is_script(path):
            return path
        done = subprocess.run(
            [path, "-c", "import os, sys; print(sys.executable); print(os.path.realpath('/proc/self/exe'))"],
            capture_output=True, text=True, timeout=_VERSION_SECONDS, check=True,
        )  # fmt: skip
        return next((program for program in done.stdout.splitlines() if program and not _is_script(program)), path)
    except (OSError, subprocess.SubprocessError):  # the measuring process reports the error when it starts
        return path


def _is_script(path: str) -> bool:
    with Path(path).open("rb") as stream:
        return stream.read(2) == b"#!"


def _build() -> str:
    """Return a hash of the interpreter's program and of its library."""
    digest = hashlib.sha256(sys.version.encode())
    for path in (sys.executable, *_libraries()):
        try:
            digest.update(Path(path).read_bytes())
        except OSError:
            digest.update(b"unreadable")
    return digest.hexdigest()[:12]


def _libraries() -> list[str]:
    """Return the files of Python's library that this process has mapped."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    paths = {line.split(maxsplit=5)[5].strip() for line in maps.splitlines() if "libpython" in line}
    return sorted(path for path in paths if Path(path).name.startswith("libpython"))


def _libc() -> str:
    try:
        return " ".join(platform.libc_ver()).strip()
    except OSError:
        return ""


def _encoding() -> str:
    """Return how files are decoded, which takes other code for each encoding; empty for a locale with UTF-8."""
    if sys.flags.utf8_mode:  # also under the locale C
        return "UTF-8 mode"
    encoding = locale.getpreferredencoding(do_setlocale=False)
    return "" if encoding.lower() in ("utf-8", "utf8") else encoding


def _modes() -> list[str]:
    """Return the modes of the interpreter and of the C library that were chosen with variables and options."""
    names = [name for name in _VARIABLES if not (sys.flags.ignore_environment and name.startswith("PYTHON"))]
    variables = [f"{name}={value}" for name in names if (value := os.environ.get(name))]
    development = ["development mode"] if sys.flags.dev_mode else []
    return [*variables, *development, *(f"-X {name}" for name in _OPTIONS if name in sys._xoptions)]


def _dispatch(source: str) -> str:
    """Return the class of CPUs for which libraries choose the same code; under a real CPU, its model."""
    from pytest_perfguard.engine.measure.machine import current_machine

    if source == HARDWARE:
        facts = current_machine().facts
        return f"{facts['cpu']} {facts['cpu_flags']}"
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    line = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return next((flag for flag in _DISPATCH_FLAGS if flag in line.split()), "")
