"""Logging in (RFC 4954)."""
