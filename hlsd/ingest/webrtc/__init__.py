"""Is the way in of WebRTC: what browsers, OBS, ffmpeg and GStreamer send by WHIP (RFC 9725).

Pure but for `room`, `udp_port` and `addresses`.
"""
