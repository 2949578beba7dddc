"""Names what can go wrong, by whose fault it is."""

from __future__ import annotations


class HlsdError(Exception):
    """Base of every error that hlsd raises on purpose."""


class ProtocolError(HlsdError):
    """A peer sent what its protocol does not allow; ends that peer's connection and nothing else."""


class MediaError(HlsdError):
    """A tag, parameter set or access unit is not what its standard says; the unit is dropped."""


class UnsupportedCodec(MediaError):
    """The publisher sends a codec that hlsd does not carry; `codec` names it in the log and in the refusal."""

    def __init__(self, codec: str) -> None:
        super().__init__(f"codec {codec} is not supported")
        self.codec = codec


class ConfigError(HlsdError):
    """The operator's configuration cannot be used; the text names the place and the nearest right thing."""
