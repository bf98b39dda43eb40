"""Identification of the machine and the interpreter, which decides which measurements are comparable."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
import sysconfig
from collections.abc import Mapping

from pytest_perfguard.core.model import Machine

#: Facts that define the class of a machine. The other facts are informative.
_CLASS_FACTS = ("system", "architecture", "cpu", "cpu_flags", "cpus", "libc", "implementation", "python", "build")


def current_machine() -> Machine:
    """Return this machine and interpreter."""
    facts = _facts()
    return Machine(class_name(facts), facts)


def class_name(facts: Mapping[str, object]) -> str:
    """Return a readable name of the class, with a hash of all facts that define it."""
    material = "\n".join(f"{name}={facts[name]}" for name in _CLASS_FACTS)
    digest = hashlib.sha256(material.encode()).hexdigest()[:8]
    cpu = _slug(str(facts["cpu"]))[:32].strip("-")
    python = f"{facts['implementation']}{facts['python']}{facts['build']}"
    return f"{facts['system']}-{facts['architecture']}-{cpu}-{facts['cpus']}cpu-{python}-{digest}".lower()


def _facts() -> dict[str, object]:
    model, flags = _cpu()
    threaded = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    debug = "d" if hasattr(sys, "gettotalrefcount") else ""
    return {
        "architecture": platform.machine(),
        "build": threaded + debug,
        "cpu": model,
        "cpu_flags": flags,
        "cpus": os.cpu_count() or 1,
        "implementation": sys.implementation.name,
        "libc": _libc(),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "python_version": platform.python_version(),
        "release": platform.release(),
        "system": platform.system(),
    }


def _cpu() -> tuple[str, str]:
    """Return the model name and a hash of the feature flags, by which libraries select their code."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:  # noqa: PTH123 - a device, not a file
            text = stream.read()
    except OSError:  # not Linux
        return platform.processor() or platform.machine(), ""
    model = re.search(r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    digest = hashlib.sha256(" ".join(sorted(flags[1].split())).encode()).hexdigest()[:8] if flags else ""
    return model[1].strip() if model else platform.machine(), digest


def _libc() -> str:
    try:
        return " ".join(platform.libc_ver()).strip()
    except OSError:  # it reads the file of the interpreter, which may not be readable
        return ""


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
