"""What honest peers say, as far as it is text, and a few tags of FLV."""

from __future__ import annotations

from typing import Final

SDP: Final = (
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    b"a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z01ADeygoM/PCAAAAwAIAAADAeB4oUyw,aM48gA==\r\n"
    b"a=control:streamid=0\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\n"
    b"a=fmtp:97 mode=AAC-hbr;config=1190;sizelength=13;indexlength=3;indexdeltalength=3\r\na=control:streamid=1\r\n"
)
URL: Final = b"rtsp://host:8554/live/cam"
TALK: Final = (
    b"ANNOUNCE %s RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s"
    b"SETUP %s/streamid=0 RTSP/1.0\r\nCSeq: 2\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
    b"RECORD %s RTSP/1.0\r\nCSeq: 3\r\n"
    b'Session: abc\r\nAuthorization: Digest username="a", nonce="n0nce"\r\n\r\n$\0\0\x10' + bytes(16)
) % (URL, len(SDP), SDP, URL, URL)
PLAYLIST: Final = (
    b'#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x01\n'
    b'#EXT-X-MAP:URI="i.mp4",BYTERANGE="10@0"\n#EXTINF:4.0,\n#EXT-X-BYTERANGE:100@10\na.ts\n#EXT-X-DISCONTINUITY\n'
    b"#EXT-X-GAP\n#EXTINF:4,\nb.ts\n#EXT-X-ENDLIST\n"
)
VARIANTS: Final = (
    b'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="a.m3u8"\n'
    b'#EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS="avc1.42e01e,mp4a.40.2",AUDIO="a"\nv.m3u8\n'
)
TAGS: Final = (b"\x17\0\0\0\0\x01\x64\0\x1f", b"\x90hvc1\0\0", b"\xaf\0\x11\x90", b"\x97\x02\0\0\x01\x05")
TEXT: Final = b'{"type":"data","name":"n","values":[1]}'
