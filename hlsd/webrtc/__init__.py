"""WebRTC without media: offers and answers, ICE lite, DTLS, SRTP, RTP and RTCP, and the one UDP port of both ways."""
