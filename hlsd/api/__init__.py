"""The operator's way in: HTTP under /api, its rules of access, its document, and the client the commands use."""
