"""A monitor's series for others to read: JSON by ourselves, the text formats of Prometheus by prometheus-client."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
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


def exported(instruments: Sequence[Instrument], form: Format) -> str:
    """The text in this format.

    Raises
    ------
    MissingExtra
        where the format needs a package that is not installed.
    """
    if form == "json":
        return json.dumps(as_data(instruments), indent=1, allow_nan=False) + "\n"
    if form not in FORMATS:
        raise ValueError(f"unknown format {form!r} (valid: {', '.join(FORMATS)})")
    try:
        from prometheus_client import CollectorRegistry, exposition
        from prometheus_client.openmetrics import exposition as openmetrics
    except ImportError:
        raise MissingExtra(f"the {form} format", "prometheus-client", "prometheus") from None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(instruments))
    writer = exposition if form == "prometheus" else openmetrics
    text: bytes = writer.generate_latest(registry)
    return text.decode()


def as_data(instruments: Sequence[Instrument]) -> list[dict[str, Any]]:
    """One object per series: name, labels, kind and what is known of it; durations in seconds."""
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
    """What prometheus-client asks for the metrics; it escapes and orders them."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._instruments = instruments

    def collect(self) -> Iterator[Metric]:
        by_name: dict[str, list[Instrument]] = {}
        for made in self._instruments:
            by_name.setdefault(made.series.name, []).append(made)
        for name, family in by_name.items():
            yield _family(name, family)


def _family(name: str, instruments: Sequence[Instrument]) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

    first = instruments[0]
    exposed, text = exposed_name(name, first.kind), f"{first.kind} {name}"
    kinds = {Counter: CounterMetricFamily, Gauge: GaugeMetricFamily}
    metric: Metric = kinds.get(type(first), SummaryMetricFamily)(exposed, text)
    for made in instruments:
        labels = dict(made.series.labels)
        if isinstance(made, Histogram):
            _add_summary(metric, made, labels)
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
