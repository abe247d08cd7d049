"""``zmount health`` for Prometheus: its text format, also in a file for the node exporter.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from zmount.effects.published import publish
from zmount.operations.health_readings import EXIT_STATUS, Health

PREFIX = "zmount_"
_COUNTER = "_total"
_LABELS = ("host", "kind", "subject")


def prometheus_text(seen: Health) -> str:
    """Return what was SEEN in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Seen(seen))
    return generate_latest(registry).decode()


def publish_for_prometheus(seen: Health, path: Path) -> None:
    """Let the file PATH hold what was SEEN, for the node exporter's textfile collector.

    It has the old text or the new one at any time.

    :raises ApplyFailed: it cannot be written
    """
    publish(path, prometheus_text(seen))


class _Seen(Collector):
    def __init__(self, seen: Health) -> None:
        self._seen = seen

    def collect(self) -> Iterable[Metric]:
        """Return a metric for each kind of number."""
        yield from self._states()
        yield from self._numbers()
        yield GaugeMetricFamily(
            f"{PREFIX}health_duration_seconds", "How long the look took", self._seen.seconds
        )
        yield GaugeMetricFamily(
            f"{PREFIX}health_timestamp_seconds", "When the look was", self._seen.at
        )

    def _states(self) -> Iterator[Metric]:
        metric = GaugeMetricFamily(
            f"{PREFIX}health_state",
            "0 ok, 1 warning, 2 critical, 3 unknown",
            labels=(*_LABELS, "check"),
        )
        for each in self._seen.readings:
            labels = (self._seen.host, each.kind, each.subject, each.check)
            metric.add_metric(labels, EXIT_STATUS[each.state])
        yield metric

    def _numbers(self) -> Iterator[Metric]:
        metrics: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for reading in self._seen.readings:
            for number in reading.numbers:
                metric = metrics.get(number.name)
                if metric is None:
                    text = f"{number.name.replace('_', ' ')}, by the check {reading.check}"
                    family = (
                        CounterMetricFamily if number.name.endswith(_COUNTER) else GaugeMetricFamily
                    )
                    metric = metrics[number.name] = family(
                        PREFIX + number.name, text, labels=_LABELS
                    )
                metric.add_metric((self._seen.host, reading.kind, reading.subject), number.value)
        yield from metrics.values()
