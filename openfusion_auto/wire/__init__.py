"""The dialects: bytes to hub types and back. Pure."""
