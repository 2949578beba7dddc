"""Is the way in of WebRTC: what a browser, OBS, ffmpeg and GStreamer send by WHIP (RFC 9725). Pure but for `room`."""
