"""Publishing by WebSocket from a browser: texts and a recording on one connection (docs/browser-websocket.md)."""
