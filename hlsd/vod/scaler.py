"""Brings pictures to one size, upright and whole, whatever they are. In the media process."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from av.filter import Graph

TICKS: Final = 90_000
_TURNS: Final = {90: ("cclock",), 180: ("hflip", "vflip"), 270: ("clock",)}
"""How a picture is turned that says how far it is turned to the left."""


_SDR: Final = ":out_transfer=bt709:out_primaries=bt709:out_color_matrix=bt709:out_range=tv:intent=perceptual"
_TO_SDR: Final = {
    16: f":in_transfer=smpte2084:in_primaries=bt2020:in_color_matrix=bt2020:in_range=tv{_SDR}",
    18: f":in_transfer=arib-std-b67:in_primaries=bt2020:in_color_matrix=bt2020:in_range=tv{_SDR}",
}
"""How PQ and HLG (ITU-T H.273) become what every screen shows: light beyond it is brought below it, not cut off."""


class Scaler:
    """To `width` by `height`, even numbers; `rotation` is what the source says, in degrees."""

    def __init__(self, width: int, height: int, rotation: int, pixels: str = "yuv420p") -> None:
        self._size = width, height
        self._turns = _TURNS.get(rotation % 360, ())
        self._pixels = pixels
        self._graph: Graph | None = None
        self._shape: tuple[int, int, str, int] = (0, 0, "", 0)

    def scaled(self, frame: Any) -> Any:  # noqa: ANN401 - libav's
        """The picture; what changes its size in the middle of a film is brought to the same one."""
        shape = (frame.width, frame.height, frame.format.name, int(frame.color_trc))
        if self._graph is None or shape != self._shape:
            self._graph, self._shape = self._made(frame), shape
        self._graph.push(frame)
        return self._graph.pull()

    def _made(self, frame: Any) -> Graph:  # noqa: ANN401 - libav's
        graph = Graph()
        graph.threads = 1  # one a core else, with 8 MB of address space each
        base = Fraction(1, TICKS)
        links = [graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=base)]
        if frame.interlaced_frame:
            links.append(graph.add("bwdif", "mode=send_frame:deint=interlaced"))
        turns = self._turns
        links += [graph.add(one) if one.endswith("flip") else graph.add("transpose", f"dir={one}") for one in turns]
        width, height = self._size
        links.append(graph.add("scale", f"w={width}:h={height}:flags=bicubic{_TO_SDR.get(int(frame.color_trc), '')}"))
        links.append(graph.add("format", f"pix_fmts={self._pixels}"))
        links.append(graph.add("setsar", "sar=1"))
        links.append(graph.add("buffersink"))
        graph.link_nodes(*links).configure()
        return graph
