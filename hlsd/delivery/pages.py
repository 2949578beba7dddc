"""Serves what people look at: the front page, the player page, their files, and the list of live streams.

One HTML shell does for both pages; its script reads the path. Everything a stranger can name (streams) reaches the
page as JSON and is shown by textContent, so no name is ever markup. Files are read once, at start, and are served
under `/_/` with a content hash: `?v=hash` may be kept for a year, without it they are checked each time.

Behind a proxy all of this may stand below a path that the proxy takes off: the shell names its files below it, and its
script knows from its own address where that is.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import Scope

from hlsd.base.clock import Clock
from hlsd.delivery.hosted import MOUNT
from hlsd.delivery.request import BadRequest, accepts_gzip, etag_matches, is_ours, parse_path
from hlsd.delivery.settings import HttpSettings
from hlsd.ports import Directory

PLAYER = Path(__file__).parent / "player"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_DIST = "web/node_modules/hls.js/dist"
_HLS_JS_PLACES = (f"{_DIST}/hls.light.min.js", f"{_DIST}/hls.min.js")
"""The light one first: it lacks what live streams never have (DRM, subtitles, other sound), and a third of it."""
_WHOLE: Final = "hls.whole.js"
"""What the page of films loads: films have tracks of text and of sound to choose from."""
_FILMS: Final = "films.html"
_PACKED = Path(__file__).parents[1] / "web"
"""Where a wheel has them."""
_MPEGTS_JS = "web/node_modules/mpegts.js/dist/mpegts.js"
PUBLISHER_JS = ("publish.js", "publish.umd.js")
"""The publisher's library: built by `make run`, where there is npm. Pages of other sites may import it."""


class File(NamedTuple):
    """A file as it goes out; `etag` with its quotes, `zipped` the gzip form, which alone is kept: browsers take it."""

    zipped: bytes
    content_type: str
    etag: str

    @property
    def body(self) -> bytes:
        """What is in it."""
        return gzip.decompress(self.zipped)

    @property
    def version(self) -> str:
        """What stands behind `?v=`."""
        return self.etag.strip('"')


def find_hls_js(configured: str) -> Path | None:
    """Where hls.js is: the configured file, or below the project's `web/`; None if it is not installed."""
    return _find(configured, *_HLS_JS_PLACES)


def find_whole_hls_js(configured: str) -> Path | None:
    """The same with all that hls.js can do."""
    return _find(configured, *reversed(_HLS_JS_PLACES))


def find_publisher(name: str = PUBLISHER_JS[0]) -> Path | None:
    """Where a file of the publisher's library is; None if it was not built."""
    return _find("", f"web/publish/dist/{name}")


def _find(configured: str, *places: str) -> Path | None:
    if configured:
        path = Path(configured)
        return path if path.is_file() else None
    names = [Path(place).name for place in places]
    found = [Path(__file__).parents[2] / place for place in places] + [_PACKED / name for name in names]
    found += [Path.cwd() / place for place in places]
    return next((path for path in found if path.is_file()), None)


class Pages:
    """The pages of one server. `rtmp_port` stands in the lines that tell how to push.

    `listed(app)` says whether the streams of an app may be named to anybody; of "", those of most apps.
    """

    def __init__(
        self,
        directory: Directory,
        settings: HttpSettings,
        clock: Clock,
        rtmp_port: int,
        listed: Callable[[str], bool] = lambda _app: True,
    ) -> None:
        self._listed = listed
        self._directory = directory
        self._clock = clock
        self._list = settings.list_streams
        self._files = {path.name: _load(path) for path in PLAYER.iterdir() if path.suffix in _TYPES}
        self._hls_js = settings.hls_js
        hls_js = find_hls_js(settings.hls_js)
        if hls_js is not None:
            self._files["hls.js"] = _load(hls_js)
        # The script names the modules that it imports, which the shell has a browser fetch beside it.
        script = self._files["page.js"]
        text = script.body
        for name in ("player.js", "timeline.js", "controls.js"):
            text = text.replace(f'"./{name}"'.encode(), f'"./{name}?v={self._files[name].version}"'.encode())
        self._files["page.js"] = _file(text, script.content_type)
        mpegts_js = _find(settings.mpegts_js, _MPEGTS_JS)
        if mpegts_js is not None:
            self._files["mpegts.js"] = _load(mpegts_js)
        for name in PUBLISHER_JS:
            if (library := find_publisher(name)) is not None:
                self._files[name] = _load(library)
        self._rtmp_port = rtmp_port
        self._proxies = settings.proxies
        self._shells = lru_cache(maxsize=32)(self._render)
        """The shells below each prefix."""
        self._headers = {
            "content-security-policy": (
                "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
                "media-src 'self' blob:; worker-src 'self' blob:; connect-src 'self'; object-src 'none'; "
                f"base-uri 'none'; form-action 'none'; frame-ancestors {' '.join(settings.frame_ancestors)}"
            ),
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        }

    def _render(self, prefix: str, shell: str = "page.html") -> File:
        """A shell with the versions of its files; of a request only a trusted proxy's plain path comes into it."""
        text = (PLAYER / shell).read_text(encoding="utf-8").replace("{{prefix}}", prefix)
        for name, file in self._files.items():
            text = text.replace(f"/_/{name}?v=", f"/_/{name}?v={file.version}")
        name = _WHOLE if shell == _FILMS else "hls.js"
        hls_js = self._found(name)
        address = f"{prefix}/_/{name}?v={hls_js.version}" if hls_js else ""
        # Not loaded by the script that needs it: it is compiled while the modules of the page are still on their way.
        script = f'<script id="hls-js" src="{address}" async></script>' if address else ""
        text = text.replace("{{hls_script}}", script)
        text = text.replace("{{hls_js}}", address)
        mpegts_js = self._files.get("mpegts.js")
        text = text.replace("{{mpegts_js}}", f"{prefix}/_/mpegts.js?v={mpegts_js.version}" if mpegts_js else "")
        text = text.replace("{{rtmp_port}}", str(self._rtmp_port))
        return _file(text.encode(), "text/html; charset=utf-8")

    def _found(self, name: str) -> File | None:
        """A file of the pages. The whole hls.js is read once somebody wants it: most servers have no films."""
        if name == _WHOLE and name not in self._files and (path := find_whole_hls_js(self._hls_js)) is not None:
            self._files[name] = _load(path)
        return self._files.get(name)

    async def page(self, request: Request) -> Response:
        """The front page and every player page."""
        if request.url.path != "/" and not _is_page(request.scope):  # `%2f` is a slash to the router, not to us
            return await self.missing(request)
        prefix = self._prefix(request)
        if request.url.path.endswith("/") and request.url.path != "/":
            bare = request.url.replace(scheme="", netloc="", path=prefix + request.url.path.rstrip("/"))
            return RedirectResponse(str(bare), 302, headers={"cache-control": "no-store"})  # its signature stays
        answer = self._send(request, self._shells(prefix), "no-cache")
        answer.headers["vary"] = "Accept, Accept-Encoding"  # players are led to the playlist from the same address
        return answer

    async def recordings(self, request: Request) -> Response:
        """`/{app}/{stream}/r`: the page of a stream's recordings; what there is, its script asks."""
        return self._send(request, self._shells(self._prefix(request), "recordings.html"), "no-cache")

    async def films(self, request: Request) -> Response:
        """`/_/films`: the page of films that are made of files; what there is, its script asks the API."""
        return self._send(request, self._shells(self._prefix(request), _FILMS), "no-cache")

    async def file(self, request: Request) -> Response:
        """A file of the pages: `/_/{name}`."""
        file = self._found(request.path_params["name"])
        if file is None:
            return await self.missing(request)
        kept = request.query_params.get("v") == file.version
        answer = self._send(request, file, "public, max-age=31536000, immutable" if kept else "no-cache")
        if request.path_params["name"] in PUBLISHER_JS:
            answer.headers["access-control-allow-origin"] = "*"  # a module is fetched with CORS
        return answer

    async def streams(self, request: Request) -> Response:  # noqa: ARG002
        """`/streams.json`: the live streams, and this server's clock, by which the page tells the latency."""
        rows = [
            {
                "path": f"/{row.app}/{row.name}",
                "codecs": row.codecs,
                "width": row.width,
                "height": row.height,
                "frame_rate": round(row.frame_rate, 3),
                "bitrate": round(row.bitrate),
                "since": row.since,
                "publishing": row.publishing,
            }
            for row in (self._directory.summaries() if self._list else ())
            if self._listed(row.app)
        ]
        listed = self._list and (self._listed("") or bool(rows))
        body = json.dumps({"now": self._clock.wall(), "listed": listed, "streams": rows}, separators=(",", ":"))
        headers = {"cache-control": "no-store", **self._headers}
        return Response(body, media_type="application/json", headers=headers)

    async def healthy(self, request: Request) -> Response:  # noqa: ARG002
        """`/healthz`: 200 while this server answers."""
        return PlainTextResponse("ok\n", headers={"cache-control": "no-store"})

    async def missing(self, request: Request, error: Exception | None = None) -> Response:  # noqa: ARG002
        """404 for what is nobody's."""
        return PlainTextResponse("404 not found\n", 404, headers={"cache-control": "no-store", **self._headers})

    def _prefix(self, request: Request) -> str:
        """What a proxy, and the host of a mount, have taken off the path."""
        said = request.headers.getlist("x-forwarded-prefix")
        peer = request.client.host if request.client is not None else ""
        prefix = self._proxies.prefix(peer, ", ".join(said).encode("latin-1") if said else None)
        return f"{prefix}{request.scope.get(MOUNT, '')}"

    def _send(self, request: Request, file: File, cache: str) -> Response:
        headers = {"cache-control": cache, "vary": "Accept-Encoding", **self._headers}
        zipped = accepts_gzip(request.headers.get("accept-encoding", "").encode("latin-1"))
        headers["etag"] = f'"{file.version}-gzip"' if zipped else file.etag
        if etag_matches(request.headers.get("if-none-match", "").encode("latin-1"), headers["etag"]):
            return Response(status_code=304, headers=headers)
        if zipped:
            headers["content-encoding"] = "gzip"
        return Response(file.zipped if zipped else file.body, media_type=file.content_type, headers=headers)


def _is_page(scope: Scope) -> bool:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    try:
        target = parse_path(raw)
    except BadRequest:
        return False
    return is_ours(raw) and target is not None and target.kind == "page"


def _load(path: Path) -> File:
    found = path.stat()
    return _loaded(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=32)
def _loaded(path: Path, _changed: int, _size: int) -> File:
    """That file as it is: hls.js takes a tenth of a second to compress, once in a process."""
    return _file(path.read_bytes(), _TYPES[path.suffix])


def _file(body: bytes, content_type: str) -> File:
    """The file with its tag and its gzip form."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    return File(gzip.compress(body, 9, mtime=0), content_type, etag)
