"""Ways out over HTTP: playlists, media, pages."""
