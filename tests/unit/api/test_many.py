"""A view of the console asks one page of a list: what it costs does not grow out of hand with the list."""

from __future__ import annotations

from statistics import median
from time import process_time

import pytest

from tests.support.api_services import ApiServices
from tests.support.gears import LISTED

VIEW = 0.2
"""Seconds of work for a view, of 1,000 streams and 50,000 sessions."""


@pytest.mark.thorough
async def test_a_page_of_a_long_list_is_there_at_once() -> None:
    services = ApiServices()
    sessions = LISTED.now() * 1000
    streams = sessions // 50
    for number in range(streams):
        await services.publish(f"s{number}")
    for number in range(sessions):
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        await services.view(f"s{number % streams}", user_id=str(number), ip=address)
    cursor, costs = "", {}
    seen = set[str]()
    for page in range(4):
        asked = {"cursor": cursor} if cursor else {}
        found = await services.get("sessions", limit=100, **asked)
        seen |= {row["id"] for row in found["items"]}
        assert len(seen) == 100 * (page + 1), "a page says what another has said"
        cursor = found["cursor"]
    views: list[tuple[str, dict[str, str | float]]] = [
        ("streams", {"limit": 60}),
        ("streams", {"limit": 500}),
        ("sessions", {"limit": 100}),
        ("sessions", {"limit": 100, "cursor": cursor}),
        ("sessions", {"limit": 100, "stream": "/live/s7"}),
        ("sessions", {"limit": 100, "user_id": str(sessions - 1)}),
        ("sessions", {"limit": 100, "ip": "192.0.2.200"}),
        ("server", {}),
    ]
    for path, query in views:
        took = []
        for _ in range(3):
            begun = process_time()
            await services.get(path, **query)
            took.append(process_time() - begun)
        costs[path, *query] = median(took)
    assert {view: cost for view, cost in costs.items() if cost > VIEW} == {}
