"""Takes what browsers record: WebM, Matroska and fragmented MP4 as they grow, and the chunks of WebCodecs."""
