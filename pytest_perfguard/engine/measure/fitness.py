"""Judge how fit a machine is for measuring: facts of the system in, checks out. Pure but for `read_facts`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: A load per CPU above this disturbs every measurement.
MAX_LOAD_PER_CPU: Final = 0.5
_GOVERNOR: Final = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
_CPUINFO: Final = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class MachineFacts:
    """Facts that the system reports; None for those that it does not."""

    cpus: int
    allowed_cpus: int | None = None
    """CPUs that this process may use."""
    pinnable: bool = False
    """True if a process can be kept on one CPU."""
    load: float | None = None
    """Load: the mean number of processes that run or wait for a CPU, over the last minute."""
    governor: str | None = None
    """The policy by which the kernel chooses the CPU's frequency."""
    quota: float | None = None
    """CPUs that the control group may use on average."""
    virtual: bool = False
    """True if the CPU is that of a virtual machine."""


@dataclass(frozen=True)
class Check:
    """One line of the answer."""

    name: str
    fit: bool
    text: str
    advice: str = ""


def judge_machine(facts: MachineFacts) -> Iterator[Check]:
    """Yield a check per property that decides how steady measurements are."""
    yield _cpus(facts)
    yield _pinning(facts)
    if facts.load is not None:
        yield _load(facts.load, facts.cpus)
    if facts.governor is not None:
        yield _governor(facts.governor)
    if facts.quota is not None:
        yield _quota(facts.quota, facts.cpus)
    yield _virtual(facts.virtual)


def read_facts(pinnable: bool) -> MachineFacts:
    """Read the facts of this machine."""
    return MachineFacts(
        cpus=os.cpu_count() or 1,
        allowed_cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        pinnable=pinnable,
        load=_load_average(),
        governor=_text(_GOVERNOR),
        quota=quota_of(_text(_QUOTA)),
        virtual=" hypervisor" in (_text(_CPUINFO) or ""),
    )


def quota_of(text: str | None) -> float | None:
    """Return the CPUs that `cpu.max` of a control group grants: `150000 100000` is 1.5; None without a limit."""
    parts = (text or "").split()
    if len(parts) != 2 or parts[0] == "max":
        return None
    try:
        return int(parts[0]) / int(parts[1])
    except (ValueError, ZeroDivisionError):
        return None


def _cpus(facts: MachineFacts) -> Check:
    usable = facts.cpus if facts.allowed_cpus is None else facts.allowed_cpus
    text = f"{usable} of {facts.cpus} CPUs may be used"
    if usable > 1:
        return Check("CPUs", True, text)
    return Check("CPUs", False, text, "with one CPU, everything else on the machine disturbs the measured code")


def _pinning(facts: MachineFacts) -> Check:
    if facts.pinnable:
        return Check("pinning", True, "processes can be kept on one CPU")
    return Check("pinning", False, "processes cannot be kept on one CPU", "expect wider intervals and more pairs")


def _load(load: float, cpus: int) -> Check:
    text = f"{load:.1f} processes want one of {cpus} CPUs"
    if load <= MAX_LOAD_PER_CPU * cpus:
        return Check("load", True, text)
    return Check("load", False, text, "stop what else runs, or use --perf-against, which stays reliable under load")


def _governor(governor: str) -> Check:
    if governor == "performance":
        return Check("governor", True, "the CPU keeps its frequency (performance)")
    advice = "set it to performance where you may: cpupower frequency-set -g performance"
    return Check("governor", False, f"the CPU changes its frequency ({governor})", advice)


def _quota(quota: float, cpus: int) -> Check:
    text = f"the container may use {quota:g} CPUs on average"
    if quota >= cpus:
        return Check("quota", True, text)
    return Check("quota", False, text, "beyond its share the kernel stops it for up to 100 ms: give it whole CPUs")


def _virtual(virtual: bool) -> Check:
    if not virtual:
        return Check("hardware", True, "no virtual machine")
    advice = "its speed depends on its neighbours: prefer --perf-against to a recorded baseline"
    return Check("hardware", False, "a virtual machine", advice)


def _load_average() -> float | None:
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows, and systems that do not know it
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
