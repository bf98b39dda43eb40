"""Let pytest_perfguard see Python as it is on Windows: without the modules and functions that exist on POSIX systems only.

Other packages keep the real ones, which they need here.
"""

from __future__ import annotations

import builtins
import os
import select
import signal
import socket
import sys
import time
from types import ModuleType

#: Modules that Windows lacks.
MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
#: Module -> the beginnings of names that it lacks on Windows.
LACKING = {
    os: (
        "fork", "register_at_fork", "sched_", "getuid", "geteuid", "getgid", "getegid", "getpgid", "getpgrp", "getsid",
        "killpg", "setsid", "setpg", "getloadavg", "wait3", "wait4", "waitid", "WNOHANG", "WIF", "sysconf", "pipe2",
        "mkfifo", "chown", "statvfs", "posix_", "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "O_DIRECTORY", "fchmod", "uname",
        "getpriority", "setpriority", "nice", "openpty", "sync", "fdatasync", "environb", "fchdir", "memfd_create",
        "eventfd", "pidfd_open", "confstr", "get_blocking", "set_blocking",
    ),
    signal: (
        "SIGKILL", "SIGALRM", "SIGUSR", "SIGHUP", "SIGQUIT", "SIGCHLD", "SIGPIPE", "SIGSTOP", "SIGCONT", "setitimer",
        "getitimer", "ITIMER", "pthread_", "sigwait", "alarm", "SIGXCPU", "SIGBUS",
    ),
    time: ("clock_gettime", "clock_getres", "clock_settime", "pthread_", "CLOCK_", "tzset"),
    socket: ("AF_UNIX", "SCM_RIGHTS", "send_fds", "recv_fds"),
    select: ("poll", "epoll"),
}  # fmt: skip
ON_WINDOWS = {os: {"name": "nt", "linesep": "\r\n"}, sys: {"platform": "win32"}}


def stand_in_for(real: ModuleType) -> ModuleType:
    """Return a copy of a module without what Windows lacks."""
    module = ModuleType(real.__name__)
    there = {name: value for name, value in vars(real).items() if not name.startswith(LACKING.get(real, ("?",)))}
    vars(module).update(there, **ON_WINDOWS.get(real, {}))
    return module


STAND_INS = {real.__name__: stand_in_for(real) for real in {**LACKING, **ON_WINDOWS}}
real_import = builtins.__import__


def windows_import(name, importer=None, local=None, names=(), level=0):
    """Import a module for pytest_perfguard as on Windows, and for others as always."""
    if level == 0 and (importer or {}).get("__name__", "").startswith("pytest_perfguard"):
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if name in STAND_INS:
            return STAND_INS[name]
    return real_import(name, importer, local, names, level)


builtins.__import__ = windows_import
