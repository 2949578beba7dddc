"""Serves a moving picture with sound by RTSP, with GStreamer's own server: a program for the system's Python.

`python3 rtsp_server.py PORT` answers rtsp://127.0.0.1:PORT/film until it is killed; exit status 3 and a reason if the
GObject bindings are not there. It imports nothing of the project.
"""

from __future__ import annotations

import sys

PIPELINE = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=180,framerate=25/1"
    " ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 bitrate=300 ! rtph264pay name=pay0 pt=96"
    " audiotestsrc is-live=true wave=sine ! audio/x-raw,rate=48000,channels=2"
    " ! avenc_aac ! rtpmp4gpay name=pay1 pt=97 )"
)


def main() -> int:
    """Serves for ever."""
    try:
        import gi

        gi.require_version("Gst", "1.0")
        gi.require_version("GstRtspServer", "1.0")
        from gi.repository import GLib, Gst, GstRtspServer
    except (ImportError, ValueError) as error:
        sys.stdout.write(f"no GStreamer RTSP server: {error}\n")
        return 3
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(PIPELINE)
    factory.set_shared(False)  # GStreamer 1.22 sometimes aborts (gst_rtsp_media_get_rates) where two begin at once
    server.get_mount_points().add_factory("/film", factory)
    server.attach(None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
