"""Reports are counted, and no more of them are read in a second than was said."""

from __future__ import annotations

from hlsd.delivery.quality import Quality
from hlsd.stats import Stats


def test_stalls_are_counted_in_every_report_and_lengths_in_a_sample() -> None:
    # 100 times as many reports as may be read: the server's time is not the players' to spend.
    stats = Stats()
    quality = Quality(stats, per_second=10)
    for number in range(3000):
        quality.report("live", "cam", b"bl=2000,mtp=800,bs", number / 1000)
    found = stats.quality_of("live", "cam")
    assert found.reports == 3000
    assert found.stalls == 3000
    assert 20 <= found.buffer.count <= 30
    assert found.throughput.count == found.buffer.count


def test_the_sample_is_of_the_whole_second_not_of_its_beginning() -> None:
    # Viewers of a low-latency stream all ask at the same moment: the same ones would always be first.
    stats = Stats()
    quality = Quality(stats, per_second=10)
    for number in range(1000):
        quality.report("live", "first", b"bl=1000", number / 1000)
    for number in range(500):
        quality.report("live", "early", b"bl=1000", 1 + number / 1000)
    for number in range(500):
        quality.report("live", "late", b"bl=1000", 1.5 + number / 1000)
    assert stats.quality_of("live", "early").buffer.count >= 4
    assert stats.quality_of("live", "late").buffer.count >= 4
