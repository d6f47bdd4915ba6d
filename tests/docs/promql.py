"""What a PromQL expression names: metrics, labels, label values. No evaluation, no full grammar.

Enough to hold the rules and the dashboard against what is really exposed: a name that is neither a
function, nor a keyword, nor a metric of ours is a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.samples import Sample

_WORDS = {
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "offset",
    "and",
    "or",
    "unless",
    "bool",
}
_FUNCTIONS = {"sum", "max", "min", "avg", "count", "rate", "increase", "delta", "time", "histogram_quantile"}
#: Of others: Prometheus' own, and node_exporter's textfile collector.
FOREIGN = {"up": {"job", "instance"}, "node_textfile_mtime_seconds": {"file"}}

_SELECTOR = re.compile(r"([A-Za-z_:][\w:]*)\s*(\{[^{}]*\})?")
_MATCHER = re.compile(r"""([A-Za-z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)""")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
_RANGE = re.compile(r"\[(?:\d+[smhdw]|\$__rate_interval)\]")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?[smhdw]?\b")
_LEGEND = re.compile(r"\{\{\s*([\w.$]+)\s*\}\}")


@dataclass
class Exposed:
    """The samples that there are: each name with its labels, and their values."""

    samples: dict[str, dict[str, set[str]]] = field(default_factory=dict)

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> Exposed:
        found = cls({name: {label: set() for label in labels} for name, labels in FOREIGN.items()})
        for sample in samples:
            labels = found.samples.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
        return found


def problems(expression: str, exposed: Exposed) -> list[str]:
    """What the expression names and nobody exposes; [] where all is well."""
    found: list[str] = []
    if expression.count("(") != expression.count(")") or expression.count("{") != expression.count("}"):
        found.append("brackets do not match")
    text = _RANGE.sub(" ", expression)
    grouped = {
        label.strip() for labels in _GROUPING.findall(text) for label in labels.split(",") if label.strip()
    }
    text = _NUMBER.sub(" ", _GROUPING.sub(" ", text))
    labels_there: set[str] = set()
    for name, matchers in _SELECTOR.findall(text):
        if not matchers and (name in _WORDS or name in _FUNCTIONS):
            continue
        labels = exposed.samples.get(name)
        if labels is None:
            found.append(f"there is no metric {name}")
            continue
        labels_there |= set(labels)
        found += _matcher_problems(name, matchers, labels)
    found += [f"no metric here has the label {label}" for label in sorted(grouped - labels_there)]
    return found


def _matcher_problems(name: str, matchers: str, labels: Mapping[str, set[str]]) -> list[str]:
    inside = matchers.strip()[1:-1].strip() if matchers else ""
    found = [f"{name}: {inside!r} is no list of matchers"] if _MATCHER.sub("", inside).strip() else []
    for label, operator, wanted in _MATCHER.findall(inside):
        if label not in labels:
            found.append(f"{name} has no label {label}")
        elif name not in FOREIGN:
            # Each alternative must be something that happens: a rule for a typo never fires.
            words = wanted.split("|") if "~" in operator else [re.escape(wanted)]
            found += [
                f"{name}: {label} is never {word}"
                for word in words
                if not any(re.fullmatch(word, value) for value in labels[label])
            ]
    return found


def labels_shown(legend: str) -> set[str]:
    """The labels that a legend, or an annotation, writes out."""
    return {word.removeprefix("$labels.") for word in _LEGEND.findall(legend) if word != "$value"}


def metrics_of(expression: str) -> set[str]:
    """Our own metrics that the expression names."""
    return set(re.findall(r"\breconcile_\w+", expression))
