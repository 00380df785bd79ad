"""The fixed frozen evaluation protocol."""
