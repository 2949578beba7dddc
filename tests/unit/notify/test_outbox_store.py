"""The store of undelivered events: order for each owner, bounds, and a life beyond the process."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlsd.notify.store import Letter, Store, taken

NOW = 1_700_000_000.0


def letter(owner: str, number: int, action: str = "donePlay", queue: str = "q") -> Letter:
    return Letter(queue, owner, f"{owner}{number}", action, NOW, b"{}")


def filled(store: Store, *letters: Letter) -> list[bool]:
    store.begin()
    taken = [store.put(each) for each in letters]
    store.commit()
    return taken


def due(store: Store, now: float = NOW, limit: int = 100) -> list[str]:
    return [each.event_id for each in store.page("q", now, limit, 60.0)]


def test_letters_come_out_in_the_order_in_which_they_went_in() -> None:
    """And only those of the queue that is asked for."""
    store = Store(None, 100)
    filled(store, letter("a", 1), letter("b", 1), letter("a", 2), letter("c", 1, queue="other"))
    assert due(store) == ["a1", "b1", "a2"]
    assert due(store, limit=2) == ["a1", "b1"]
    assert store.length(["q"]) == 3
    assert store.length(["q", "other"]) == 4


def test_an_owner_who_waits_holds_back_what_comes_later_and_nobody_else() -> None:
    """DonePlay must not overtake postPlay; another viewer's events must not wait for them."""
    store = Store(None, 100)
    filled(store, letter("a", 1), letter("a", 2), letter("b", 1))
    store.delay(store.page("q", NOW, 1, 60.0)[0], NOW + 10)
    filled(store, letter("a", 3), letter("b", 2))
    assert due(store) == ["b1", "b2"]
    store.remove("q", [each.seq for each in store.page("q", NOW, 9, 60.0)])
    assert store.next_due("q") == NOW + 10
    assert due(store, NOW + 10) == ["a1", "a2", "a3"]
    assert store.page("q", NOW + 10, 1, 60.0)[0].attempt == 1


def test_a_clock_that_was_set_back_delays_nothing() -> None:
    """NTP steps by an hour: events must not wait for it."""
    store = Store(None, 100)
    filled(store, letter("a", 1))
    store.delay(store.page("q", NOW, 1, 60.0)[0], NOW + 30)
    assert due(store, NOW - 3600) == ["a1"]


def test_a_full_queue_takes_no_more_and_updates_give_way_first() -> None:
    """What bills a viewer must find room when progress reports no longer do."""
    store = Store(None, 10)
    assert filled(store, *(letter("a", number, "updatePlay") for number in range(7))) == [True] * 5 + [False] * 2
    assert filled(store, *(letter("a", number) for number in range(7))) == [True] * 5 + [False] * 2
    assert filled(store, letter("a", 1, queue="other")) == [True], "each URL has a queue of its own"
    store.remove("q", [store.page("q", NOW, 1, 60.0)[0].seq])
    assert filled(store, letter("a", 8), letter("a", 9)) == [True, False]


def test_what_was_committed_is_there_in_another_life(tmp_path: Path) -> None:
    """The first store is not closed: as after kill -9."""
    path = tmp_path / "state" / "hlsd.sqlite"
    store = Store(path, 100)
    assert store.durable
    filled(store, letter("a", 1), letter("b", 1), letter("a", 2))
    store.begin()
    store.delay(store.page("q", NOW, 1, 60.0)[0], NOW + 10)
    store.commit()
    second = Store(path, 100)
    assert second.length(["q"]) == 3
    assert due(second) == ["b1"]
    assert due(second, NOW + 10) == ["a1", "b1", "a2"]
    assert second.oldest(["q"]) == NOW
    second.close()
    store.close()


def test_numbers_are_never_used_again(tmp_path: Path) -> None:
    """A delivery that ends late must not remove another event."""
    store = Store(tmp_path / "hlsd.sqlite", 100)
    filled(store, letter("a", 1))
    first = store.page("q", NOW, 1, 60.0)[0].seq
    store.remove("q", [first])
    filled(store, letter("a", 2))
    assert store.page("q", NOW, 1, 60.0)[0].seq > first
    store.close()


def test_a_file_that_cannot_be_used_leaves_a_store_in_memory(tmp_path: Path) -> None:
    """A broken disk must keep nobody off the air (R8)."""
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "hlsd.sqlite", 100)
    assert not store.durable
    assert store.fault
    filled(store, letter("a", 1))
    assert due(store) == ["a1"]
    store.close()


def test_a_disk_that_fills_up_takes_nothing_from_what_is_queued(tmp_path: Path) -> None:
    """R8: the queue goes on in memory with what the file holds, under the same numbers."""
    store = Store(tmp_path / "hlsd.sqlite", 1000)
    filled(store, letter("a", 1), letter("a", 2))
    seqs = [each.seq for each in store.page("q", NOW, 9, 60.0)]
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")  # what a full disk does
    many = [Letter("q", "b", f"b{number}", "donePlay", NOW, bytes(3000)) for number in range(1000)]
    with pytest.raises(sqlite3.Error) as full:
        filled(store, *many)
    store.fall_back(full.value)
    assert not store.durable
    assert [each.seq for each in store.page("q", NOW, 9, 60.0)] == seqs
    assert filled(store, letter("a", 3)) == [True]
    assert due(store) == ["a1", "a2", "a3"]
    assert store.length(["q"]) == 3
    store.close()


def test_queues_of_urls_that_are_gone_are_forgotten_in_time(tmp_path: Path) -> None:
    """A URL taken out of the settings by mistake can come back; one that is gone must not fill the disk."""
    store = Store(tmp_path / "hlsd.sqlite", 1000)
    filled(store, letter("a", 1, queue="gone"), letter("a", 1))
    assert store.forget_others(["q"], NOW - 1) == {"gone": 1}
    assert store.forget_others(["q"], NOW + 1) == {}
    assert store.length(["gone"]) == 0
    assert due(store) == ["a1"]
    store.close()


@pytest.mark.thorough
@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "send", "fail", "wait"])), max_size=60))
def test_no_history_breaks_the_order_of_an_owner(history: list[tuple[str, str]]) -> None:
    """Whatever fails and whenever: each owner's events leave in the order in which they came about."""
    store = Store(None, 1000)
    put: dict[str, int] = dict.fromkeys("abc", 0)
    sent: dict[str, list[str]] = {owner: [] for owner in "abc"}
    now = NOW
    for owner, step in history:
        if step == "put":
            put[owner] += 1
            filled(store, letter(owner, put[owner]))
        elif step == "wait":
            now += 7
        elif page := store.page("q", now, 1, 60.0):
            if step == "fail":
                store.delay(page[0], now + 10)
            else:
                sent[page[0].id].append(page[0].event_id)
                store.remove("q", [page[0].seq])
    for page in iter(lambda: store.page("q", now + 100, 1, 1000.0), []):
        sent[page[0].id].append(page[0].event_id)
        store.remove("q", [page[0].seq])
    assert sent == {owner: [f"{owner}{number + 1}" for number in range(put[owner])] for owner in "abc"}
    assert store.length(["q"]) == 0


def long_letter(number: int, size: int, action: str = "donePlay") -> Letter:
    return Letter("q" * 16, f"{number:036d}", f"{number:036d}", action, NOW, bytes(size))


@pytest.mark.parametrize("size", [300, 900, 1300, 2000, 3900, 4000, 6000, 9000, 20_000])
def test_what_a_letter_is_said_to_take_is_what_it_takes(tmp_path: Path, size: int) -> None:
    """Where rows were said to be 1 kB and were 4.7, a disk was full at a fifth of what its owner had reckoned with."""
    path, count = tmp_path / "x.sqlite", 600
    store = Store(path, count, 1 << 40)
    empty = path.stat().st_size
    filled(store, *(long_letter(number, size) for number in range(count)))
    said = store._bytes["q" * 16]
    store.close()
    assert said == count * taken(size)
    assert said == pytest.approx(path.stat().st_size - empty, rel=0.06)


def test_a_queue_is_bounded_by_bytes_too_and_gives_them_back(tmp_path: Path) -> None:
    """And still knows after a restart what it holds; updates have half of it."""
    path, most = tmp_path / "x.sqlite", 1 << 20
    room = most // taken(9000)
    store = Store(path, 10_000, most)
    assert sum(filled(store, *(long_letter(number, 9000, "updatePlay") for number in range(300)))) == room // 2
    assert sum(filled(store, *(long_letter(number, 9000) for number in range(300)))) == room - room // 2
    store.close()
    again = Store(path, 10_000, most)
    assert filled(again, long_letter(1, 9000)) == [False]
    first = again.page("q" * 16, NOW, 3, 60.0)
    again.remove("q" * 16, [each.seq for each in first])
    again.remove("q" * 16, [each.seq for each in first])
    assert filled(again, *(long_letter(number, 9000) for number in range(5))) == [True] * 3 + [False] * 2
    again.close()


def test_memory_gets_a_quarter_of_what_a_disk_would() -> None:
    """A folder that cannot be written must not make the process grow by as much as the disk was to hold."""
    store = Store(None, 10_000, 1 << 20)
    assert sum(filled(store, *(long_letter(number, 9000) for number in range(300)))) == (1 << 18) // taken(9000)
