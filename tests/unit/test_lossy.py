"""The bad path of the benchmarks: what enters comes out late, in order, at a rate, or not at all, by a seed."""

from __future__ import annotations

from bench.lossy import Wire


def through(wire: Wire, packets: int, step: float, size: int = 1000) -> list[tuple[float, bytes]]:
    """Puts packets in, `step` seconds apart; when each came out."""
    arrived: list[tuple[float, bytes]] = []
    for number in range(packets):
        wire.put(number * step, number.to_bytes(4, "big").ljust(size, b"."))
    while (at := wire.next) is not None:
        arrived += [(at, packet) for packet in wire.due(at)]
    return arrived


def numbers(arrived: list[tuple[float, bytes]]) -> list[int]:
    return [int.from_bytes(packet[:4], "big") for _, packet in arrived]


def test_without_loss_everything_comes_in_order_after_its_delay() -> None:
    arrived = through(Wire(delay=0.04, loss=0, rate=8e6, queue=1, seed=1), 10, 0.01)
    assert numbers(arrived) == list(range(10))
    # 1000 bytes at 8 Mbit/s are a millisecond
    assert [round(at - number * 0.01, 6) for number, (at, _) in enumerate(arrived)] == [0.041] * 10


def test_nothing_is_due_before_its_time() -> None:
    wire = Wire(delay=0.04, loss=0, rate=8e6, queue=1, seed=1)
    wire.put(0.0, b"x" * 1000)
    assert wire.due(0.0409) == []
    assert len(wire.due(0.0411)) == 1
    assert wire.next is None


def test_a_share_is_lost_and_the_same_seed_loses_the_same() -> None:
    def lost(seed: int) -> list[int]:
        return numbers(through(Wire(delay=0, loss=0.03, rate=1e9, queue=9, seed=seed), 10_000, 0.001))

    assert 9_600 < len(lost(1)) < 9_800
    assert lost(1) == lost(1)
    assert lost(1) != lost(2)


def test_the_bottleneck_spreads_a_burst_and_its_queue_is_bounded() -> None:
    arrived = through(Wire(delay=0, loss=0, rate=8e6, queue=0.0205, seed=1), 100, 0)
    assert [round(at, 6) for at, _ in arrived] == [round((number + 1) / 1000, 6) for number in range(21)]


def test_a_path_that_stands_still_delays_and_loses_nothing() -> None:
    arrived = through(Wire(delay=0.04, loss=0, rate=8e6, queue=1, seed=1, stall=0.1), 1000, 0.01)
    late = [at - number * 0.01 for number, (at, _) in enumerate(arrived)]
    assert numbers(arrived) == list(range(1000))
    assert min(late) >= 0.041 - 1e-9
    assert 0.08 < max(late) < 0.041 + 2 * 0.1
    assert sum(one > 0.045 for one in late) > 30, "two stalls a second, of 50 ms on average: some of five packets each"
