"""Says what an operator may set about the console: section `console`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ConsoleSettings(BaseModel):
    """Section `console`: the operator's page."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    enabled: bool = Field(
        default=True,
        description="Whether /console answers. The page itself is no secret: what it shows it asks the API for, by the "
        "token that the operator gives it.",
    )
