"""Writes a page of docs/bench: a table in Markdown, a bar chart in SVG, the raw runs in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "bench"
_COLOURS = ("#2f6fde", "#9aa4b2", "#d08a2e")


@dataclass(frozen=True, slots=True)
class Chart:
    """Grouped bars: for each label, one value of each series. `unit` names the scale."""

    title: str
    unit: str
    labels: Sequence[str]
    series: Mapping[str, Sequence[float | None]]

    def svg(self) -> str:
        """The chart as a stand-alone picture, readable on a light and on a dark page."""
        width, height, left, top, bottom = 640, 300, 56, 44, 40
        highest = max((value for values in self.series.values() for value in values if value is not None), default=1.0)
        highest = highest or 1.0
        plot = height - top - bottom
        group = (width - left - 16) / max(1, len(self.labels))
        bar = group * 0.7 / max(1, len(self.series))
        out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            f'<text x="{left}" y="18" font-size="14" font-weight="bold">{escape(self.title)}</text>',
            f'<text x="{left}" y="34" font-size="11" fill="#555">{escape(self.unit)}</text>',
        ]
        for step in range(5):
            y = top + plot * step / 4
            value = highest * (4 - step) / 4
            out.append(f'<line x1="{left}" x2="{width - 16}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
            out.append(f'<text x="{left - 6}" y="{y + 4:.1f}" font-size="10" text-anchor="end">{value:.3g}</text>')
        for index, label in enumerate(self.labels):
            middle = left + group * (index + 0.5)
            out.append(
                f'<text x="{middle:.1f}" y="{height - 20}" font-size="11" text-anchor="middle">{escape(label)}</text>'
            )
            for number, values in enumerate(self.series.values()):
                value = values[index] or 0.0
                x = left + group * (index + 0.15) + bar * number
                over = x + bar * 0.46
                tall = max(0.0, plot * value / highest)
                y = top + plot - tall
                colour = _COLOURS[number % len(_COLOURS)]
                out.append(
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{bar * 0.92:.1f}" height="{tall:.1f}" fill="{colour}"/>'
                )
                out.append(
                    f'<text x="{over:.1f}" y="{y - 3:.1f}" font-size="10" text-anchor="middle">{value:.3g}</text>'
                )
        for number, name in enumerate(self.series):
            x = width - 16 - 110 * (len(self.series) - number)
            out.append(f'<rect x="{x}" y="10" width="10" height="10" fill="{_COLOURS[number % len(_COLOURS)]}"/>')
            out.append(f'<text x="{x + 15}" y="19" font-size="11">{escape(name)}</text>')
        return "\n".join([*out, "</svg>", ""])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its numbers to the right."""
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def write(name: str, text: str, charts: Mapping[str, Chart], raw: object, folder: Path = FOLDER) -> Path:
    """Writes `name`.md, its charts and its raw figures; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    for chart_name, chart in charts.items():
        (folder / f"{chart_name}.svg").write_text(chart.svg())
    (folder / f"{name}.json").write_text(json.dumps(raw, indent=1) + "\n")
    page = folder / f"{name}.md"
    page.write_text(text)
    return page
