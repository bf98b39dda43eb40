"""Export of a monitor's series: as JSON, and through prometheus-client in the text formats of Prometheus."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from pytest_perfguard.core.errors import MissingExtra
from pytest_perfguard.core.labels import exposed_name
from pytest_perfguard.tools.monitor.histogram import QUANTILES, Histogram
from pytest_perfguard.tools.monitor.instruments import Counter, Gauge
from pytest_perfguard.tools.monitor.registry import Instrument

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Format = Literal["json", "prometheus", "openmetrics"]
FORMATS: Final[Sequence[Format]] = ("json", "prometheus", "openmetrics")

#: Returns the current instruments.
Read = Callable[[], Sequence[Instrument]]
#: Returns the help text of a name, or "".
Help = Callable[[str], str]


def exported(read: Read, form: Format, help_of: Help) -> str:
    """Return all series as text in this format.

    Raises
    ------
    MissingExtra
        if the format needs a package that is not installed.
    """
    if form == "json":
        return json.dumps(as_data(read()), indent=1, allow_nan=False) + "\n"
    if form not in FORMATS:
        raise ValueError(f"unknown format {form!r} (valid: {', '.join(FORMATS)})")
    registry = registry_of(read, help_of, f"the {form} format")
    from prometheus_client import exposition
    from prometheus_client.openmetrics import exposition as openmetrics

    text: bytes = (exposition if form == "prometheus" else openmetrics).generate_latest(registry)
    return text.decode()


def registry_of(read: Read, help_of: Help, purpose: str = "prometheus_registry") -> Any:
    """Return a `CollectorRegistry` of prometheus-client that reads the instruments at each request.

    Raises
    ------
    MissingExtra
        if prometheus-client is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry
    except ImportError:
        raise MissingExtra(purpose, "prometheus-client", "prometheus") from None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(read, help_of))
    return registry


def as_data(instruments: Sequence[Instrument]) -> list[dict[str, Any]]:
    """Return one mapping per series: name, labels, kind and statistics; durations in seconds."""
    return [
        {
            "name": made.series.name,
            "labels": dict(made.series.labels),
            "kind": made.kind,
            **{name: value for name, value in made.fields().items() if math.isfinite(value)},
        }
        for made in instruments
    ]


class _Collector:
    """Provides the metrics to prometheus-client, which escapes and orders them."""

    def __init__(self, read: Read, help_of: Help) -> None:
        self._read = read
        self._help_of = help_of

    def collect(self) -> Iterator[Metric]:
        by_name: dict[str, list[Instrument]] = {}
        for made in self._read():
            by_name.setdefault(made.series.name, []).append(made)
        for name, family in by_name.items():
            yield _family(name, family, self._help_of(name))


def _family(name: str, instruments: Sequence[Instrument], help_text: str) -> Metric:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        SummaryMetricFamily,
    )

    first = instruments[0]
    exposed, text = exposed_name(name, first.kind), help_text or f"{first.kind} {name}"
    has_buckets = isinstance(first, Histogram) and first.buckets()
    distribution = HistogramMetricFamily if has_buckets else SummaryMetricFamily
    kinds = {Counter: CounterMetricFamily, Gauge: GaugeMetricFamily}
    metric: Metric = kinds.get(type(first), distribution)(exposed, text)
    for made in instruments:
        labels = dict(made.series.labels)
        if isinstance(made, Histogram):
            (_add_buckets if has_buckets else _add_summary)(metric, made, labels)
        else:
            metric.add_sample(exposed, labels, made.value)
    return metric


def _add_summary(metric: Metric, histogram: Histogram, labels: dict[str, str]) -> None:
    stats = histogram.stats()
    if stats is None:
        return
    for name, share in QUANTILES.items():
        metric.add_sample(metric.name, {**labels, "quantile": f"{share:g}"}, getattr(stats, name))
    metric.add_sample(f"{metric.name}_count", labels, stats.count)
    metric.add_sample(f"{metric.name}_sum", labels, stats.sum)


def _add_buckets(metric: Metric, histogram: Histogram, labels: dict[str, str]) -> None:
    count, total = histogram.totals
    for bound, number in histogram.buckets():
        metric.add_sample(
            f"{metric.name}_bucket", {**labels, "le": "+Inf" if math.isinf(bound) else repr(bound)}, number
        )
    metric.add_sample(f"{metric.name}_count", labels, count)
    metric.add_sample(f"{metric.name}_sum", labels, total)
