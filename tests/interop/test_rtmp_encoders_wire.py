"""The encoders people use reach the room: their handshakes, commands and chunks are understood, and so is their end."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from functools import cache

import imageio_ffmpeg
import pytest

from tests.support.eventually import eventually
from tests.support.rtmp_room import rtmp_room

_PICTURES = 50


def _ffmpeg(binary: str, url: str) -> list[str]:
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=48000"]
    video = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-frames:v", str(_PICTURES)]
    return [binary, "-v", "warning", *source, *video, "-c:a", "aac", "-shortest", "-t", "2", "-f", "flv", url]


def _gstreamer(sink: str) -> list[str]:
    video = f"videotestsrc num-buffers={_PICTURES} ! video/x-raw,width=320,height=180,framerate=25/1"
    audio = "audiotestsrc num-buffers=90 samplesperbuffer=1024 ! audio/x-raw,rate=44100 ! avenc_aac ! aacparse ! mux."
    pipeline = f"flvmux name=mux streamable=true ! {sink} {video} ! x264enc tune=zerolatency ! mux. {audio}"
    return ["gst-launch-1.0", "-q", *pipeline.split(" ")]


@cache
def _gst_element(name: str) -> bool:
    inspect = shutil.which("gst-inspect-1.0")
    return inspect is not None and subprocess.run([inspect, name], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("encoder", ["ffmpeg of the system", "ffmpeg by pip", "rtmp2sink", "rtmpsink"])
async def test_every_frame_of_the_encoder_arrives(encoder: str) -> None:
    """A frame lost here is lost to every viewer."""
    async with rtmp_room() as room:
        url = room.url + "?token=a%3Db"
        if encoder == "ffmpeg of the system":
            binary = shutil.which("ffmpeg")
            if binary is None:
                pytest.skip("no ffmpeg on this system")
            command = _ffmpeg(binary, url)
        elif encoder == "ffmpeg by pip":
            command = _ffmpeg(imageio_ffmpeg.get_ffmpeg_exe(), url)
        elif not (_gst_element(encoder) and _gst_element("x264enc") and _gst_element("avenc_aac")):
            pytest.skip(f"GStreamer has no {encoder}, x264enc or avenc_aac here")
        else:
            command = _gstreamer(f"{encoder} location={url}")
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), 40)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, said.decode(errors="replace")
        assert b"validat" not in said, "ffmpeg checks the digests of our handshake, and found them wrong"
        await eventually(lambda: room.admission.publications and room.admission.publications[0].ended)
        request = room.admission.requests[0]
        assert (request.app, request.name, request.query) == ("live", "show", {"token": "a=b"})
        (sink,) = room.sinks
        pictures = [body for type_id, _, body in sink.tags if type_id == 9 and body[1:2] == b"\x01"]
        assert len(pictures) == _PICTURES
        assert sum(body[:2] == b"\xaf\x01" for type_id, _, body in sink.tags if type_id == 8) >= 80
        assert sink.count()[18] >= 1
        assert room.admission.publications[0].ended == ["closed"]
