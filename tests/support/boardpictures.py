"""Draws docs/metrics-*.png: every panel of the dashboards with what a real Prometheus says (`python -m …`, a minute).

Needs matplotlib, which nothing else does: `pip install matplotlib`.
"""

from __future__ import annotations

import importlib
import math
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tests.support.prometheus import BOARDS, Ask, Prometheus, panels, scene, settle
from tests.support.server import CHECKOUT

mpl: Any = importlib.import_module("matplotlib")
mpl.use("Agg")
plt: Any = importlib.import_module("matplotlib.pyplot")
mdates: Any = importlib.import_module("matplotlib.dates")
"""Typed or not, there or not: only who runs this needs it."""
COLUMN, LINE = 0.62, 0.36
"""Inches of a column and a line of the grid."""
GOOD, FAIR, POOR = (
    ("CMCD-Request: bl=2100,mtp=48000",),
    ("CMCD-Request: bl=900,mtp=6400",),
    ("CMCD-Request: bl=300,mtp=900", "CMCD-Status: bs"),
)
"""What viewers with good, fair and poor connections report."""
SCALES = {
    "Bps": (1e6, "MB/s"),
    "bytes": (1e6, "MB"),
    "s": (1.0, "s"),
    "reqps": (1.0, "1/s"),
    "percentunit": (0.01, "%"),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, scene(Path(folder)) as (load, prometheus):
        begin = time.time()
        with ThreadPoolExecutor(5) as swarms:
            waits = [
                swarms.submit(load.watch, "cam", 9, 40, "--churn", "9", reports=GOOD),
                swarms.submit(load.watch, "hall", 6, 30, "--no-ll", "--churn", "12", reports=FAIR),
                swarms.submit(load.watch, "hall", 2, 20, "--no-ll", reports=POOR),
            ]
            settle(12)
            waits.append(swarms.submit(load.watch, "cam", 13, 14, reports=FAIR))
            settle(6)
            load.knock("hall", 25)
            for wait in waits:
                wait.result()
        settle(4)
        end = time.time()
        for board in sorted(BOARDS.glob("*.json")):
            target = CHECKOUT / "docs" / f"{board.stem.replace('hlsd', 'metrics')}.png"
            _draw(board, prometheus, begin + 4, end, target)


def _draw(board: Path, prometheus: Prometheus, begin: float, end: float, target: Path) -> None:
    placed = list(panels(board))
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel, _ in placed)
    figure = plt.figure(figsize=(24 * COLUMN, height * LINE), facecolor="#f4f5f5")
    for panel, asks in placed:
        at = panel["gridPos"]
        axes = figure.add_axes(
            (
                (at["x"] + 0.85) / 24,
                1 - (at["y"] + at["h"] - 1.1) / height,
                (at["w"] - 1.1) / 24,
                (at["h"] - 2.2) / height,
            )
        )
        axes.set_title(panel["title"], fontsize=10, loc="left", fontweight="bold")
        kinds: dict[str, Callable[..., None]] = {"stat": _stat, "heatmap": _heatmap, "table": _table}
        unit = panel["fieldConfig"]["defaults"]["unit"]
        draw: Callable[..., None] = kinds.get(panel["type"], _lines)
        draw(axes, panel, asks, unit, prometheus, begin, end)
    figure.savefig(target, dpi=72)
    plt.close(figure)


def _lines(
    axes: Any, panel: dict[str, Any], asks: list[Ask], unit: str, prometheus: Prometheus, begin: float, end: float
) -> None:
    scale, name = SCALES.get(unit, (1.0, ""))
    for ask in asks:
        for found in prometheus.over(ask.text, begin, end):
            values = [float(value) / scale for _, value in found["values"]]
            axes.plot(
                [_when(at) for at, _ in found["values"]], values, label=_legend(ask, found["metric"]), linewidth=1.2
            )
    bad = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    if len(bad) > 1 and axes.get_ylim()[1] >= bad[-1]["value"] / scale:
        axes.axhline(bad[-1]["value"] / scale, color="red", linestyle="--", linewidth=0.8)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(name, fontsize=8)
    _time(axes)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[:8], labels[:8], fontsize=8, loc="upper left", framealpha=0.6)


def _stat(axes: Any, panel: dict[str, Any], asks: list[Ask], unit: str, prometheus: Prometheus, *when: float) -> None:
    scale, name = SCALES.get(unit, (1.0, ""))
    found = prometheus.over(asks[0].text, *when)
    values = [float(value) / scale for _, value in found[0]["values"]] if found else []
    axes.fill_between(range(len(values)), values, color="#73bf69", alpha=0.25, linewidth=0)
    finite = [value for value in values if math.isfinite(value)]
    axes.text(
        0.5,
        0.5,
        f"{finite[-1]:.3g} {name}" if finite else "–",
        fontsize=20,
        ha="center",
        va="center",
        transform=axes.transAxes,
    )
    axes.set_axis_off()


def _heatmap(
    axes: Any, panel: dict[str, Any], asks: list[Ask], unit: str, prometheus: Prometheus, *when: float
) -> None:
    found = sorted(prometheus.over(asks[0].text, *when), key=lambda one: float(one["metric"]["le"]))
    rows: list[dict[float, float]] = [{at: float(value) for at, value in one["values"]} for one in found]
    times = sorted({at for row in rows for at in row})
    below: dict[float, float] = {}
    grid = []
    for row in rows:  # buckets are cumulative
        grid.append([max(0.0, row.get(at, 0.0) - below.get(at, 0.0)) for at in times])
        below = row
    if grid:
        axes.pcolormesh([_when(at) for at in times], range(len(grid)), grid, cmap="Oranges", shading="nearest")
        axes.set_yticks(range(len(grid)), [f"≤ {_short(one['metric']['le'])}" for one in found], fontsize=8)
    axes.set_ylabel({"s": "s", "Bps": "B/s"}.get(unit, ""), fontsize=8)
    _time(axes)


def _table(axes: Any, panel: dict[str, Any], asks: list[Ask], unit: str, prometheus: Prometheus, *when: float) -> None:
    found = prometheus.query(asks[0].text, when[-1] - 15)
    names = sorted({label for one in found for label in one["metric"]})
    cells = [[*(one["metric"].get(name, "") for name in names), one["value"][1]] for one in found]
    axes.set_axis_off()
    if cells:
        table = axes.table(cells, colLabels=[*names, "value"], loc="upper center", cellLoc="left")
        table.auto_set_font_size(False)
        table.set_fontsize(8)


def _short(bound: str) -> str:
    return "∞" if bound == "+Inf" else f"{float(bound):g}"


def _legend(ask: Ask, labels: dict[str, str]) -> str:
    text = ask.legend
    for label, value in labels.items():
        text = text.replace(f"{{{{{label}}}}}", value)
    return text.replace("127.0.0.1:", "node:")


def _when(at: float) -> float:
    return float(mdates.date2num(datetime.fromtimestamp(at, timezone.utc)))  # noqa: UP017


def _time(axes: Any) -> None:
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%H:%M:%S"))
    axes.xaxis.set_major_locator(mdates.AutoDateLocator(maxticks=5))
    axes.tick_params(labelsize=8)
    axes.grid(visible=True, linewidth=0.3)


if __name__ == "__main__":
    main()
