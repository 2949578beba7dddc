"""hlsd: a live HLS server that knows its viewers."""

__version__ = "0.1.0"
