"""Every dashboard is valid by the published schema of Grafana's dashboards, its panels' options and queries too.

The schema is `grafana-foundation-sdk`'s: classes that Grafana's own definitions are compiled to. What a class does not
know it leaves out when it writes again what it has read, and its fields say their types.
"""

from __future__ import annotations

import enum
import json
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard, heatmap, prometheus, stat, table, timeseries

from tests.support.sources import CHECKOUT

BOARDS = sorted((CHECKOUT / "grafana" / "dashboards").glob("*.json"))
OPTIONS: dict[str, Any] = {
    "timeseries": timeseries.Options,
    "stat": stat.Options,
    "heatmap": heatmap.Options,
    "table": table.Options,
}
"""Of each kind of panel that Grafana 12 still renders: graph, singlestat and table-old became others, by migration."""
CUSTOM: dict[str, Any] = {"timeseries": timeseries.FieldConfig, "heatmap": heatmap.FieldConfig}


def unknown(said: Any, kept: Any, path: str) -> Iterator[str]:
    """What the schema left out or made another of."""
    if isinstance(said, dict) and isinstance(kept, dict):
        for key, value in said.items():
            if key in kept:
                yield from unknown(value, kept[key], f"{path}.{key}")
            elif value is not None:
                yield f"{path}.{key}: no such field"
    elif isinstance(said, list) and isinstance(kept, list):
        if len(said) != len(kept):
            yield f"{path}: {len(said)} became {len(kept)}"
        for number, (one, other) in enumerate(zip(said, kept, strict=False)):
            yield from unknown(one, other, f"{path}[{number}]")
    elif said != kept:
        yield f"{path}: {said!r} became {kept!r}"


def mistyped(value: Any, hint: Any, path: str) -> Iterator[str]:  # noqa: PLR0912 - a branch for each form of a type
    """What is not of the type that the schema says."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint in (Any, object) or isinstance(hint, str):
        return
    if origin in (Union, types.UnionType):
        wrong = [list(mistyped(value, one, path)) for one in inner]
        if all(wrong):
            yield from max(wrong, key=lambda found: len(found[0].partition(":")[0]))  # of the one that it is most like
    elif origin is Literal:
        if value not in inner:
            yield f"{path}: {value!r} is none of {inner}"
    elif origin is not None and not isinstance(value, origin):
        yield f"{path}: {value!r} is no {origin.__name__}"
    elif origin is list:
        for number, one in enumerate(value):
            yield from mistyped(one, inner[0], f"{path}[{number}]")
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        if value not in [one.value for one in hint]:
            yield f"{path}: {value!r} is no {hint.__name__}"
    elif isinstance(value, dict) and hasattr(hint, "from_json"):
        yield from faults(value, hint, path)  # what the classes have not read themselves
    elif isinstance(hint, type):
        fits = isinstance(value, (hint, int) if hint is float else hint)
        if not fits or (isinstance(value, bool) and hint is not bool):
            yield f"{path}: {value!r} is no {hint.__name__}"
        elif hint.__module__.startswith("grafana_foundation_sdk"):
            yield from mistyped_fields(value, path)


def mistyped_fields(value: Any, path: str) -> Iterator[str]:
    """The same of the fields of one of the schema's objects."""
    for name, hint in get_type_hints(type(value)).items():
        yield from mistyped(getattr(value, name), hint, f"{path}.{name}")


def faults(said: dict[str, Any], schema: Any, path: str) -> list[str]:
    """What is wrong with an object by its class of the schema."""
    read = schema.from_json(said)
    kept = json.loads(JSONEncoder().encode(read))
    return [*unknown(said, kept, path), *mistyped_fields(read, path)]


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_valid_by_the_published_schema(path: Path) -> None:
    assert faults(json.loads(path.read_text(encoding="utf-8")), dashboard.Dashboard, path.stem) == []


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_options_and_queries_of_its_panels_are_too(path: Path) -> None:
    found: list[str] = []
    for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
        if panel["type"] == "row":
            continue
        found += faults(panel["options"], OPTIONS[panel["type"]], f"{panel['title']}.options")
        custom = panel["fieldConfig"]["defaults"].get("custom")
        if custom is not None:
            found += faults(custom, CUSTOM[panel["type"]], f"{panel['title']}.custom")
        for target in panel["targets"]:
            found += faults(target, prometheus.Dataquery, f"{panel['title']}.targets")
    assert found == []


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_grafana_12_has_nothing_to_migrate(path: Path) -> None:
    """It migrates what is older than its schema's version; nothing here is what those migrations look for."""
    board = json.loads(path.read_text(encoding="utf-8"))
    assert board["schemaVersion"] == dashboard.Dashboard().schema_version == 41
    assert isinstance(board["refresh"], str)  # 40 makes it one
    assert "time_options" not in board.get("timepicker", {})  # 41 drops it


def test_what_the_schema_does_not_know_is_found() -> None:
    """Or the tests above could not fail."""
    board = json.loads(BOARDS[0].read_text(encoding="utf-8"))
    board["titel"] = "x"
    board["panels"][1]["gridPos"]["w"] = "wide"
    board["panels"][1]["transparent"] = 3
    found = faults(board, dashboard.Dashboard, "board")
    assert found == [
        "board.titel: no such field",
        "board.panels[1].transparent: 3 is no bool",
        "board.panels[1].grid_pos.w: 'wide' is no int",
    ]
    assert faults({"legend": {"displayMode": "tabel"}}, timeseries.Options, "options") != []
