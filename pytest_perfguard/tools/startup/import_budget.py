"""Budgets of imports: what an import may load and cost. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_perfguard.core.units import format_duration, parse_duration
from pytest_perfguard.tools.startup.import_tree import Imported, chain_to, is_in


@dataclass(frozen=True)
class ImportGroup:
    """Packages that share a budget, such as those of a vendor.

    A module that belongs to several groups counts in those with the highest priority among them.
    """

    packages: Sequence[str]
    max_time: str | float | None = None
    """Of the modules' own times together: seconds, or a duration such as "50ms"."""
    max_modules: int | None = None
    """0: none of them may be loaded."""
    priority: int = 0

    def __post_init__(self) -> None:
        _check_packages("packages", self.packages)
        _check_limits(self.max_time, self.max_modules)


@dataclass(frozen=True)
class ImportBudget:
    """Limits of an import; None: no limit."""

    max_time: str | float | None = None
    max_modules: int | None = None
    forbid: Sequence[str] = ()
    """Packages that must not be loaded."""
    lazy: Sequence[str] = ()
    """Packages that the import must not load, but that must be installed for later."""
    groups: Mapping[str, ImportGroup] | None = None

    def __post_init__(self) -> None:
        _check_packages("forbid", self.forbid)
        _check_packages("lazy", self.lazy)
        _check_limits(self.max_time, self.max_modules)

    @property
    def is_timed(self) -> bool:
        """Whether there is a budget of time, which several interpreters must exceed."""
        return self.max_time is not None or any(group.max_time is not None for group in (self.groups or {}).values())


@dataclass(frozen=True)
class ImportReport:
    """The modules that an import loaded in a fresh interpreter, and its costs."""

    module: str
    seconds: float
    cpu_seconds: float
    modules: tuple[str, ...]
    """Loaded modules that a bare interpreter does not have, in no particular order."""
    code_bytes: int
    """Bytes of their files: compiled code and extension modules."""
    trees: tuple[Imported, ...] = ()
    """The modules below those that imported them, if requested."""
    bare: tuple[str, ...] = ()
    """Modules that such an interpreter has loaded before the import."""


def violations(budget: ImportBudget, reports: Sequence[ImportReport]) -> list[str]:
    """Return a line for each exceeded budget; a budget of time must be exceeded in all reports."""
    return list(_violations(budget, reports))


def _violations(budget: ImportBudget, reports: Sequence[ImportReport]) -> Iterator[str]:
    last = reports[-1]
    if budget.max_time is not None:
        fastest, limit = min(report.seconds for report in reports), seconds_of(budget.max_time)
        if fastest > limit:
            yield f"it takes {format_duration(fastest)}, more than {format_duration(limit)}, at best of {len(reports)}"
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
        yield from _of_group(name, group, budget.groups or {}, reports)


def _of_group(
    name: str, group: ImportGroup, groups: Mapping[str, ImportGroup], reports: Sequence[ImportReport]
) -> Iterator[str]:
    before = [other for other in groups.values() if other.priority > group.priority]
    members = [found for found in reports[-1].modules if _counts(found, group, before)]
    if group.max_modules is not None and len(members) > group.max_modules:
        some = _loaded(reports[-1], min(members, key=len))
        yield f"group {name}: it loads {len(members)} modules, more than {group.max_modules}; such as {some}"
    if group.max_time is not None:
        limit = seconds_of(group.max_time)
        fastest = round(min(sum(_own_times(report, group, before)) for report in reports), 9)
        if fastest > limit:
            yield f"group {name}: its modules take {format_duration(fastest)}, more than {format_duration(limit)}"


def _counts(module: str, group: ImportGroup, before: Sequence[ImportGroup]) -> bool:
    """Return whether a module belongs to a group, and to none of those with a higher priority."""
    return _belongs(module, group) and not any(_belongs(module, other) for other in before)


def _belongs(module: str, group: ImportGroup) -> bool:
    return any(is_in(module, package) for package in group.packages)


def _own_times(report: ImportReport, group: ImportGroup, before: Sequence[ImportGroup]) -> Iterator[float]:
    for tree in report.trees:
        for _above, module in tree.walk():
            if _counts(module.name, group, before):
                yield module.own


def _loaded(report: ImportReport, package: str) -> str:
    """Return the chain of importing modules as text; "" if the package is not loaded."""
    if not any(is_in(name, package) for name in report.modules):
        return ""
    return " -> ".join(chain_to(report.trees, package, report.modules)) or package


def seconds_of(duration: str | float) -> float:
    """Return the seconds of a number, or of a duration with its unit."""
    return parse_duration(duration) if isinstance(duration, str) else float(duration)


def _check_packages(name: str, packages: object) -> None:
    if isinstance(packages, str) or not all(isinstance(package, str) for package in packages):  # type: ignore[attr-defined]
        raise TypeError(f"{name} is {packages!r}: give a list of names")


def _check_limits(max_time: str | float | None, max_modules: int | None) -> None:
    if max_time is not None and not seconds_of(max_time) > 0:
        raise ValueError(f"max_time is {max_time!r}: it must be more than 0")
    if max_modules is not None and (not isinstance(max_modules, int) or max_modules < 0):
        raise ValueError(f"max_modules is {max_modules!r}: it must be a whole number of at least 0")
