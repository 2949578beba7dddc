"""HTTP-FLV, WebSocket-FLV and what RTMP players are fed with."""
