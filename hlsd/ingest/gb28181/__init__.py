"""Receives the media of GB/T 28181 cameras, programme streams in RTP, at ports that a SIP platform asks for."""
