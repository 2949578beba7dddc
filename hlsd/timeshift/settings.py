"""Declares the [dvr] section: how far back viewers may go."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from hlsd.base.quantities import Duration


class DvrSettings(BaseModel):
    """Time shift: playing what [record] has kept of a stream."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    on: bool = Field(
        default=True,
        description="Whether viewers of a stream may go back in time, as far as it is recorded as MP4. Without "
        "recordings there is nothing to go back to.",
    )
    max: Duration = Field(
        default=21_600.0,
        ge=60,
        le=86_400,
        description="Longest playlist of a time shift, seconds: what is asked for beyond is left off. A playlist of "
        "six hours has 350 kB, as gzip 20 kB and more; players read it once, and then what is new.",
    )
