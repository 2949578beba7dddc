"""Says what an operator may set about the API: section `api`.

There is no default password: without a token of the operator's only the token of the state folder is known, which a
program of this machine can read if it is the server's user's (contract §6). Tokens never leave the process; what is
kept to compare with is their SHA-256.
"""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Scope = Literal["read", "write"]
MIN_TOKEN = 16
"""Characters: what is shorter can be guessed."""

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+")


class ApiToken(BaseModel):
    """One of `api.tokens`: exactly one of `token`, `token_env` and `hash`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    name: str = Field(
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Who uses it: in the log of what was done, and the user of Basic.",
    )
    token: SecretStr | None = Field(default=None, description="The token itself.")
    token_env: str = Field(default="", description="Environment variable that holds it.")
    hash: str = Field(
        default="",
        pattern=r"^(sha256:[0-9a-fA-F]{64})?$",
        description='"sha256:" and the SHA-256 of the token in hex, so that the file holds no secret.',
    )
    scopes: list[Scope] = Field(default=["read"], min_length=1, description="What it may: read, write.")

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        """Refuses none and several: which of them holds must not be a guess."""
        if sum((self.token is not None, bool(self.token_env), bool(self.hash))) != 1:
            raise ValueError(f"{self.name} needs exactly one of token, token_env and hash")
        if self.token is not None and len(self.token.get_secret_value()) < MIN_TOKEN:
            raise ValueError(f"{self.name}: a token has at least {MIN_TOKEN} characters")
        return self


class ApiSettings(BaseModel):
    """Section `api`: the operator's way in, /api on every HTTP port."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    enabled: bool = Field(default=True, description="Whether /api answers at all.")
    token: SecretStr | None = Field(
        default=None,
        min_length=MIN_TOKEN,
        description="A token that may read and write, 16 characters or more (Authorization: Bearer, or Basic with the "
        "user admin). Without it and without api.tokens only who can read api.token in server.state_dir is answered: "
        "the commands of this machine, run by the server's user.",
    )
    tokens: list[ApiToken] = Field(
        default=[],
        max_length=100,
        description="Further tokens, each a table: name, scopes (of read, write; read if it is missing) and one of "
        'token, token_env (environment variable) and hash ("sha256:" and hex).',
    )
    loopback: bool = Field(
        default=False,
        description="Whether a program of this machine may come without a token: from a loopback address, to a "
        "loopback name, and for no foreign web page. Only for a machine without other users and without any proxy: "
        "one that passes requests on without a header of its own makes everybody behind it an administrator.",
    )
    allow_origin: list[str] = Field(
        default=[], description="Web pages that may use the API with a token: exact origins. Empty: none but our own."
    )

    @model_validator(mode="after")
    def _sound(self) -> Self:
        """Refuses names that stand twice, and origins that are none."""
        names = [token.name for token in self.tokens] + (["admin"] if self.token is not None else [])
        if len(set(names)) != len(names):
            raise ValueError("each token needs a name of its own (api.token is called admin)")
        for origin in self.allow_origin:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin such as https://www.example.org; * is not allowed here")
        return self
