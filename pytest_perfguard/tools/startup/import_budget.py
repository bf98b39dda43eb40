"""What an import may load and cost. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_perfguard.core.units import format_duration, parse_duration
from pytest_perfguard.tools.startup.import_tree import Imported, chain_to, is_in


@dataclass(frozen=True)
class ImportGroup:
    """Packages that share a budget, such as those of the vendor; what belongs to several groups counts in each."""

    packages: Sequence[str]
    max_time: str | float | None = None
    """For the modules' own times together: seconds, or a duration such as "50ms"."""
    max_modules: int | None = None
    """0: none of them may be loaded."""

    def __post_init__(self) -> None:
        _check_packages("packages", self.packages)
        _check_limits(self.max_time, self.max_modules)


@dataclass(frozen=True)
class ImportBudget:
    """What importing a module may load and cost; None: anything."""

    max_time: str | float | None = None
    max_modules: int | None = None
    forbid: Sequence[str] = ()
    """Packages that must not be loaded."""
    lazy: Sequence[str] = ()
    """Packages that must not be loaded yet, but must be there to be loaded later."""
    groups: Mapping[str, ImportGroup] | None = None

    def __post_init__(self) -> None:
        _check_packages("forbid", self.forbid)
        _check_packages("lazy", self.lazy)
        _check_limits(self.max_time, self.max_modules)

    @property
    def is_timed(self) -> bool:
        """Is there a budget of time, which several interpreters must be asked for?"""
        return self.max_time is not None or any(group.max_time is not None for group in (self.groups or {}).values())


@dataclass(frozen=True)
class ImportReport:
    """What importing a module in a fresh interpreter loaded and cost."""

    module: str
    seconds: float
    cpu_seconds: float
    modules: tuple[str, ...]
    """What it loaded that a bare interpreter has not, in no particular order."""
    code_bytes: int
    """Of their files: compiled code, extension modules."""
    trees: tuple[Imported, ...] = ()
    """Who imported whom, where that was asked for."""
    bare: tuple[str, ...] = ()
    """What such an interpreter has loaded before."""


def violations(budget: ImportBudget, reports: Sequence[ImportReport]) -> list[str]:
    """One line for each budget that was passed, by every one of the reports where it is one of time."""
    return list(_violations(budget, reports))


def _violations(budget: ImportBudget, reports: Sequence[ImportReport]) -> Iterator[str]:
    last = reports[-1]
    if budget.max_time is not None:
        least, limit = min(report.seconds for report in reports), seconds_of(budget.max_time)
        if least > limit:
            yield f"it takes {format_duration(least)}, more than {format_duration(limit)}, at best of {len(reports)}"
    if budget.max_modules is not None and len(last.modules) > budget.max_modules:
        yield f"it loads {len(last.modules)} modules, more than {budget.max_modules}"
    for package in [*budget.forbid, *budget.lazy]:
        if any(is_in(name, package) for name in last.bare):
            yield f"{package} is loaded by every interpreter here: it cannot be forbidden"
    for package in budget.forbid:
        if chain := _loaded(last, package):
            yield f"{package} is loaded, which is forbidden: {chain}"
    for package in budget.lazy:
        if chain := _loaded(last, package):
            yield f"{package} is loaded at once, and should be on first use: {chain}"
    for name, group in (budget.groups or {}).items():
        yield from _of_group(name, group, reports)


def _of_group(name: str, group: ImportGroup, reports: Sequence[ImportReport]) -> Iterator[str]:
    members = [found for found in reports[-1].modules if any(is_in(found, package) for package in group.packages)]
    if group.max_modules is not None and len(members) > group.max_modules:
        some = _loaded(reports[-1], min(members, key=len))
        yield f"group {name}: it loads {len(members)} modules, more than {group.max_modules}; such as {some}"
    if group.max_time is not None:
        limit = seconds_of(group.max_time)
        least = round(min(sum(_own_times(report, group)) for report in reports), 9)
        if least > limit:
            yield f"group {name}: its modules take {format_duration(least)}, more than {format_duration(limit)}"


def _own_times(report: ImportReport, group: ImportGroup) -> Iterator[float]:
    for tree in report.trees:
        for _above, module in tree.walk():
            if any(is_in(module.name, package) for package in group.packages):
                yield module.own


def _loaded(report: ImportReport, package: str) -> str:
    """Who imported it, as text; "" if nobody did."""
    if not any(is_in(name, package) for name in report.modules):
        return ""
    return " -> ".join(chain_to(report.trees, package, report.modules)) or package


def seconds_of(duration: str | float) -> float:
    """Seconds, or a duration with its unit."""
    return parse_duration(duration) if isinstance(duration, str) else float(duration)


def _check_packages(name: str, packages: object) -> None:
    if isinstance(packages, str) or not all(isinstance(package, str) for package in packages):  # type: ignore[attr-defined]
        raise TypeError(f"{name} is {packages!r}: give a list of names")


def _check_limits(max_time: str | float | None, max_modules: int | None) -> None:
    if max_time is not None and not seconds_of(max_time) > 0:
        raise ValueError(f"max_time is {max_time!r}: it must be more than 0")
    if max_modules is not None and (not isinstance(max_modules, int) or max_modules < 0):
        raise ValueError(f"max_modules is {max_modules!r}: it must be a whole number of at least 0")
