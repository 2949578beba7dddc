"""Says to mkdocs what a site cannot link to: a file of the checkout outside docs/ becomes its name."""

from __future__ import annotations

import re

_OUTSIDE = re.compile(r"\[([^\]]*)\]\((?:\.\./)+((?!docs/)[^)\s#]+)(?:#[^)\s]*)?\)")


def on_page_markdown(markdown: str, **_: object) -> str:
    """A link to `../conf/hlsd.toml` as its words and its name (mkdocs calls this for each page)."""

    def told(found: re.Match[str]) -> str:
        words, path = found.groups()
        return f"`{path}`" if words.strip("`") == path else f"{words} (`{path}`)"

    return _OUTSIDE.sub(told, markdown)
