"""Ways out in FLV tags: HTTP-FLV, WebSocket-FLV, and what RTMP players are fed from."""
