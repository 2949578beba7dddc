"""Is the way out by WebRTC: viewers come by WHEP, each stream is cut into packets once for all of them."""
