"""Dashboards and rules are fit for provisioning and ask only for what there is: names, labels, places, data source."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.figures import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
BOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
RULES = ROOT / "conf" / "prometheus"
UNITS = {"short", "s", "bytes", "Bps", "reqps", "percentunit"}
KINDS = {"row", "timeseries", "stat", "heatmap", "table"}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
FOREIGN: dict[str, set[str]] = {
    "process_resident_memory_bytes": set(),
    "process_cpu_seconds_total": set(),
    "process_open_fds": set(),
    "process_max_fds": set(),
    "up": set(),
}
"""Of prometheus_client and of Prometheus itself."""
EVERYWHERE = {"job", "instance"}

_METRIC = re.compile(r"\b((?:hlsd|process|python)_[a-z0-9_]+|up)\b(?=[{\s\[)]|$)")
_SELECTOR = re.compile(r"\b((?:hlsd|process|python)_[a-z0-9_]+|up)\{([^}]*)\}")
_BY = re.compile(r"\bby \(([^)]*)\)")


def declared() -> dict[str, set[str]]:
    """Samples that a scrape can hold, with their labels."""
    found: dict[str, set[str]] = {name: set(labels) for name, labels in FOREIGN.items()}
    for spec in FAMILIES:
        labels = set(spec.labels)
        if spec.kind == "histogram":
            found[f"{spec.name}_bucket"] = labels | {"le"}
            found[f"{spec.name}_sum"] = found[f"{spec.name}_count"] = labels
        else:
            found[f"{spec.name}_total" if spec.kind == "counter" else spec.name] = labels
    return found


SAMPLES = declared()


def load(path: Path) -> dict[str, Any]:
    board: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return board


def panels(path: Path) -> list[dict[str, Any]]:
    return list(load(path)["panels"])


def asks(path: Path) -> list[tuple[str, str]]:
    """Title and expression of every target."""
    return [(panel["title"], target["expr"]) for panel in panels(path) for target in panel.get("targets", ())]


def check(ask: str) -> None:
    """An expression names metrics that exist, with labels that they have."""
    bare = re.sub(r"\b[a-z_]+:[a-z0-9_]+:[a-z0-9_]+", "", ask)  # recorded series have their own names
    names = set(_METRIC.findall(bare))
    assert names <= set(SAMPLES), names - set(SAMPLES)
    for name, selector in _SELECTOR.findall(bare):
        used = set(re.findall(r'([a-z_]+)(?:=~|!~|!=|=)"', selector))
        assert used <= SAMPLES[name] | EVERYWHERE, (name, used)
    labels = set().union(*(SAMPLES[name] for name in names)) if names else {"app", "kind", "le"}
    for group in _BY.findall(ask):
        used = {label.strip() for label in group.split(",")}
        assert used <= labels | EVERYWHERE, used


def test_the_three_dashboards_are_there() -> None:
    assert [path.stem for path in BOARDS] == ["hlsd-overview", "hlsd-sessions", "hlsd-stream"]


def test_the_files_are_what_their_script_writes() -> None:
    # Whoever edits a panel edits scripts/dashboards.py: a change in one place only is lost.
    code = "import dashboards, sys; [sys.stdout.write(dashboards.written(board)) for board in dashboards.BOARDS]"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True, check=True
    )
    order = ("hlsd-overview", "hlsd-stream", "hlsd-sessions")
    assert done.stdout == "".join((ROOT / "grafana" / "dashboards" / f"{name}.json").read_text() for name in order)


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_can_be_provisioned(path: Path) -> None:
    board = load(path)
    assert board["id"] is None
    assert board["uid"] == path.stem
    assert len(board["uid"]) <= 40
    assert isinstance(board["schemaVersion"], int)
    assert board["tags"] == ["hlsd"]
    text = path.read_text()
    assert "__inputs" not in text
    assert "${DS_" not in text
    assert '"graph"' not in text


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_everything_asks_the_data_source_that_was_chosen(path: Path) -> None:
    variables = load(path)["templating"]["list"]
    assert variables[0]["name"] == "datasource"
    assert variables[0]["type"] == "datasource"
    assert variables[0]["query"] == "prometheus"
    for variable in variables[1:]:
        assert variable["datasource"] == SOURCE
        assert variable["refresh"] == 2
        assert variable["multi"]
        assert variable["includeAll"]
        query = re.fullmatch(r"label_values\((\w+)(\{.*\})?, (\w+)\)", variable["query"]["query"])
        assert query is not None
        assert query[3] in SAMPLES[query[1]] | EVERYWHERE
        assert variable["name"] == query[3]
    for panel in panels(path):
        if panel["type"] != "row":
            assert panel["datasource"] == SOURCE
            assert all(target["datasource"] == SOURCE for target in panel["targets"])


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_every_panel_says_what_it_shows(path: Path) -> None:
    ids = [panel["id"] for panel in panels(path)]
    assert len(set(ids)) == len(ids)
    for panel in panels(path):
        assert panel["type"] in KINDS
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        refs = [target["refId"] for target in panel["targets"]]
        assert refs
        assert len(set(refs)) == len(refs)
        for target in panel["targets"]:
            assert target["legendFormat"]
            if panel["type"] == "heatmap":
                assert target["format"] == "heatmap"
                assert "by (le)" in target["expr"]


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_panels_stand_side_by_side_in_24_columns(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(path):
        at = panel["gridPos"]
        assert at["x"] >= 0
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize(
    ("path", "title", "ask"),
    [pytest.param(path, title, ask, id=f"{path.stem}: {title}") for path in BOARDS for title, ask in asks(path)],
)
def test_a_panel_asks_for_what_there_is(path: Path, title: str, ask: str) -> None:
    check(ask)
    # "counters never raw": what ends in _total stands inside rate or increase.
    for counter in re.findall(r"(\w+_total)\{", ask):
        assert re.search(rf"(?:rate|increase)\({counter}\{{[^}}]*\}}\[", ask)
    variables = {name for name in re.findall(r"\$(\w+)", ask) if not name.startswith("__")}
    assert {"job", "instance"} <= variables
    assert variables <= {variable["name"] for variable in load(path)["templating"]["list"]}


def rules() -> list[tuple[str, str]]:
    """Name and expression of every rule, as promtool prints them parsed: no YAML library is needed."""
    text = (RULES / "hlsd.rules.yml").read_text()
    found = re.findall(
        r"- (?:alert|record): (\S+)\n\s+expr: (?:>-\n)?((?:.|\n)*?)(?=\n\s+(?:for|labels|- )|\n\n|\Z)", text
    )
    return [(name, re.sub(r"\s+", " ", ask).strip()) for name, ask in found]


def test_rules_ask_for_what_there_is() -> None:
    found = rules()
    assert len(found) == 28
    recorded = {name for name, _ in found if ":" in name}
    for _, ask in found:
        check(ask)
        assert set(re.findall(r"\b[a-z_]+:[a-z0-9_]+:[a-z0-9_]+", ask)) <= recorded


def test_every_alert_has_a_page_that_says_what_to_do() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    text = (RULES / "hlsd.rules.yml").read_text()
    alerts = [name for name, _ in rules() if ":" not in name]
    for name in alerts:
        assert f'runbook_url: "docs/metrics.md#{name.lower()}"' in text
        assert f"### {name}\n" in page
    assert text.count("summary:") == text.count("description:") == len(alerts)


def test_every_metric_stands_in_the_docs() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    for spec in FAMILIES:
        name = f"{spec.name}_total" if spec.kind == "counter" else spec.name
        assert f"`{name}`" in page, name
        assert spec.words.rstrip(".") in page, name
