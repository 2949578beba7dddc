"""Is `python -m hlsd`."""

from __future__ import annotations

from hlsd.commands.entry import main

if __name__ == "__main__":
    main()
