"""RTMP without sockets: handshake, chunks, AMF0, messages and the conversation, for both roles."""
