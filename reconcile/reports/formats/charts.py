"""Charts as SVG to be put into a page: drawn by pygal, without its scripts, with a text for each bar."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any
from xml.etree.ElementTree import Element

from reconcile.reports.model import Bars, Chart, TimeLine

#: One colour for each word, the same in charts and tables; others get the spare ones.
COLOURS: Mapping[str, str] = {
    "enrolled": "#1b7f4b",
    "already_enrolled": "#7fbf9a",
    "recovered": "#2f9e9e",
    "retrying": "#e0a800",
    "waiting": "#5b7fb5",
    "failed": "#c0392b",
    "completed": "#1b7f4b",
    "interrupted": "#e0a800",
    "aborted": "#c0392b",
    "crashed": "#7b241c",
    "outage": "#c0392b",
    "in a leak": "#c0392b",
}
_SPARE = "#9db8dc"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_WIDTH = 860
#: Labels that fit beside each other under a chart of this width.
_LABELS = 12


def draw(chart: Chart, name: str) -> str:
    """The chart as an `svg` element; `name` is unique in the page."""
    drawn = _bars(chart) if isinstance(chart, Bars) else _time_line(chart)
    root = drawn.render_tree()
    if isinstance(chart, TimeLine) and chart.spans:
        _broaden(root)
    return _as_html(root, name)


def _pygal() -> ModuleType:
    """pygal, without the finder for its map plugins: it makes a warning of every import that fails."""
    import pygal

    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != pygal.__name__]
    module: ModuleType = pygal
    return module


def _bars(chart: Bars) -> Any:
    pygal = _pygal()
    kind = pygal.HorizontalStackedBar if chart.lying else pygal.StackedBar
    height = 70 + 36 * len(chart.labels) if chart.lying else 320
    drawn = kind(**_options(list(chart.series), height=height))
    drawn.show_legend = len(chart.series) > 1
    # pygal draws lying bars from below.
    turn = -1 if chart.lying else 1
    drawn.x_labels = list(chart.labels)[::turn]
    if chart.lying:
        drawn.print_values = True
        drawn.show_x_labels = True
    else:
        drawn.x_labels_major_every = max(-(-len(chart.labels) // _LABELS), 1)
        drawn.show_minor_x_labels = False
        drawn.x_label_rotation = 25 if len(chart.labels) > 4 else 0
    for title, values in chart.series.items():
        drawn.add(title, list(values)[::turn])
    return drawn


def _time_line(chart: TimeLine) -> Any:
    pygal = _pygal()
    lanes = [*([chart.spans_are] if chart.spans else []), *list(chart.lanes)[::-1]]
    drawn = pygal.XY(**_options(lanes, height=110 + 42 * len(lanes)))
    drawn.show_legend = False
    drawn.y_labels = [{"value": place, "label": lane} for place, lane in enumerate(lanes, 1)]
    drawn.range = (0.5, len(lanes) + 0.5)
    drawn.xrange = (0, max((chart.end - chart.start).total_seconds(), 1.0))
    drawn.x_labels = _ticks(chart.start, chart.end)
    drawn.dots_size = 3.5
    if chart.spans:
        points = [point for start, end in chart.spans for point in _span(chart, start, end)]
        drawn.add(chart.spans_are, points, show_dots=False)
    for place, lane in enumerate(lanes, 1):
        if lane in chart.lanes:
            seconds = [(instant - chart.start).total_seconds() for instant in chart.lanes[lane]]
            drawn.add(lane, [(second, place) for second in seconds], stroke=False)
    return drawn


def _span(chart: TimeLine, start: datetime, end: datetime) -> list[tuple[float, float] | None]:
    # Wide enough to be seen, and a None between two spans, where no line is drawn.
    least = (chart.end - chart.start) / 200
    first, last = ((instant - chart.start).total_seconds() for instant in (start, max(end, start + least)))
    return [(first, 1), (last, 1), None]


def _ticks(start: datetime, end: datetime) -> list[dict[str, object]]:
    length = max(end - start, timedelta(seconds=1))
    shape = "%d %b" if length > timedelta(days=5) else "%d %b %H:%M"
    steps = 5
    return [
        {
            "value": length.total_seconds() * number / steps,
            "label": f"{start + length * number / steps:{shape}}",
        }
        for number in range(steps + 1)
    ]


def _options(series: list[str], *, height: int) -> dict[str, Any]:
    from pygal.style import Style

    style = Style(
        background="transparent",
        plot_background="transparent",
        foreground="#3c4650",
        foreground_strong="#1d252c",
        foreground_subtle="#6b7680",
        guide_stroke_color="#d5dbe0",
        major_guide_stroke_color="#d5dbe0",
        guide_stroke_dasharray="0",
        major_guide_stroke_dasharray="0",
        font_family=_FONT,
        label_font_size=14,
        major_label_font_size=14,
        legend_font_size=14,
        value_font_size=14,
        value_colors=("#1d252c",) * len(series),
        opacity="1",
        opacity_hover="1",
        stroke_opacity="1",
        transition="0s",
        colors=tuple(COLOURS.get(word, _SPARE) for word in series) or (_SPARE,),
    )
    return {
        "style": style,
        "width": _WIDTH,
        "height": height,
        "explicit_size": False,
        "js": (),
        "legend_at_bottom": True,
        "legend_at_bottom_columns": 3,
        "legend_box_size": 12,
        "margin": 6,
        "margin_right": 34,  # half of the last label
        # Of a bar the value is a number, of a point a pair.
        "formatter": lambda value: f"{value:,.0f}" if isinstance(value, int | float) and value else "",
        "value_formatter": lambda value: f"{value:,.0f}",
        "truncate_label": -1,
        "truncate_legend": -1,
        "min_scale": 2,
        "max_scale": 6,
    }


def _as_html(root: Element, name: str) -> str:
    """What a page may hold: no script, no foreign address, no random name; a title for each bar."""
    from pygal.etree import etree

    for parent in list(root.iter()):
        for child in list(parent):
            tag = child.tag if isinstance(child.tag, str) else "comment"
            if tag in ("script", "comment") or (tag == "title" and parent is root):
                parent.remove(child)
        _give_title(parent)
        parent.attrib.pop("id", None)  # for its scripts, and the same in each chart
    # The figure that holds it says what it shows.
    root.attrib.update(
        {
            "id": f"chart-{name}",
            "role": "img",
            "aria-labelledby": f"{name}-title {name}-words",
            "focusable": "false",
        }
    )
    text: str = etree.tostring(root, encoding="unicode")
    return re.sub(r"chart-[0-9a-f-]{36}", f"chart-{name}", text)


def _broaden(root: Element) -> None:
    """The spans are the only lines of a time line: from hairlines to beams."""
    for node in root.iter():
        if str(node.attrib.get("class", "")).startswith("line "):
            node.attrib["style"] = "stroke-width: 16px"


def _give_title(node: Element) -> None:
    """pygal's data for its script's tooltips, as the browser's own tooltip."""
    told = {child.attrib.get("class"): child for child in list(node) if child.tag == "desc"}
    for child in told.values():
        node.remove(child)
    if "value" in told:
        label = told["x_label"].text if "x_label" in told else None
        title = type(node)("title") if isinstance(node, Element) else node.makeelement("title", {})
        title.text = f"{label}: {told['value'].text}" if label else told["value"].text
        node.insert(0, title)
