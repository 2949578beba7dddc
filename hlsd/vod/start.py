"""Makes the service where it is turned on, and loads what it needs only then: a database, and what reads forms."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any, Final

from hlsd.base.errors import ConfigError
from hlsd.ports import PictureMaker, Service
from hlsd.snapshots.service import SnapshotService

NEEDED: Final = ("dbos", "python_multipart", "sqlalchemy")


def vod_service(node: Any, others: Mapping[str, Service]) -> Service:  # noqa: ANN401 - `hlsd.node`, which is above
    """The service of a node, or one that does nothing; `others` by name. Raises ConfigError."""
    if not node.settings.vod.enabled:
        return Service()
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"vod.enabled needs {' and '.join(missing)}: pip install 'hlsd[vod]'")
    from hlsd.vod.service import VodService  # noqa: PLC0415 - see above

    def pictures() -> PictureMaker | None:
        snapshots = others["snapshot"]
        return snapshots.spare if isinstance(snapshots, SnapshotService) else None

    return VodService(
        node.settings.vod,
        node.settings.compat,
        node.state,
        node.clock,
        node.bus,
        node.log,
        node.stats.faults,
        node.entrance,
        node.sessions,
        node.judge,
        pictures,
        node.vault,
    )
