"""The names of metrics: `time`, `time:parse` at a measurement point, `time:db.query` of a timer."""

from __future__ import annotations

from collections.abc import Container, Iterable
from functools import lru_cache


@lru_cache(maxsize=1024)
def metric_kind(name: str) -> str:
    """`time:parse` -> `time`."""
    return name.partition(":")[0]


def metric_name(metric: str, label: str) -> str:
    """The full name at the measurement point `label`: `time` -> `time:parse`, `time:db.query` -> `time:parse/db.query`."""
    if not label:
        return metric
    kind, _colon, series = metric.partition(":")
    return f"{kind}:{label}/{series}" if series else f"{kind}:{label}"


def of_points(names: Iterable[str], labels: Container[str]) -> set[str]:
    """Those of these metrics that were taken of the measurement points themselves, not recorded by the test's timers."""
    return {name for name in names if name.partition(":")[2] in labels}


@lru_cache(maxsize=1024)
def metric_order(name: str) -> tuple[int, str]:
    """Sort key: time before CPU time before memory before blocks, then by name."""
    kinds = ("time", "cpu", "memory", "blocks", "p95", "value", "value-p95")
    kind = metric_kind(name)
    return (kinds.index(kind) if kind in kinds else len(kinds)), name
