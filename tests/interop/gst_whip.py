"""Publishes a test picture with a tone by WHIP through GStreamer's webrtcbin: `python3 gst_whip.py URL SECONDS`.

For the system's Python, which has GStreamer's bindings. It says `connected` and, at the end, the status of its DELETE.
Debian 12 has no whipsink; this is what one is made of.
"""

from __future__ import annotations

import sys
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

PIPELINE = """
webrtcbin name=peer bundle-policy=max-bundle
videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=30/1 ! videoconvert
  ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 bitrate=600 ! h264parse
  ! rtph264pay config-interval=-1 aggregate-mode=zero-latency
  ! application/x-rtp,media=video,encoding-name=H264,payload=96 ! peer.
audiotestsrc is-live=true ! audioconvert ! audioresample ! opusenc ! rtpopuspay
  ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! peer.
"""


def say(word: str) -> None:
    """Tells whoever has started this."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main(url: str, seconds: float) -> int:
    """Publishes for so long; the exit status is 0 if it was let in, and out."""
    Gst.init(None)
    pipeline = Gst.parse_launch(PIPELINE)
    peer = pipeline.get_by_name("peer")
    loop = GLib.MainLoop()
    session: list[str] = []

    def offered(promise: object, *_: object) -> None:
        promise.wait()  # type: ignore[attr-defined]
        reply = promise.get_reply()  # type: ignore[attr-defined]
        offer = reply["offer"] if hasattr(reply, "__getitem__") else reply.get_value("offer")
        peer.emit("set-local-description", offer, Gst.Promise.new())
        request = urllib.request.Request(url, offer.sdp.as_text().encode(), {"Content-Type": "application/sdp"})
        try:
            with urllib.request.urlopen(request) as answered:
                session.append(urllib.parse.urljoin(url, answered.headers["Location"]))
                text = answered.read()
        except urllib.error.HTTPError as error:
            sys.stderr.write(f"{error.code} {error.read().decode()}\n")
            loop.quit()
            return
        _, answer = GstSdp.SDPMessage.new()
        GstSdp.sdp_message_parse_buffer(text, answer)
        told = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, answer)
        peer.emit("set-remote-description", told, Gst.Promise.new())

    def negotiate(_: object) -> None:
        peer.emit("create-offer", None, Gst.Promise.new_with_change_func(offered, None))

    def changed(*_: object) -> None:
        if peer.get_property("connection-state") == GstWebRTC.WebRTCPeerConnectionState.CONNECTED:
            say("connected")

    peer.connect("on-negotiation-needed", negotiate)
    peer.connect("notify::connection-state", changed)
    pipeline.set_state(Gst.State.PLAYING)
    GLib.timeout_add(int(seconds * 1000), loop.quit)
    loop.run()
    pipeline.set_state(Gst.State.NULL)
    if not session:
        return 1
    with urllib.request.urlopen(urllib.request.Request(session[0], method="DELETE")) as reply:
        say(str(reply.status))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
