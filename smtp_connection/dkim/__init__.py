"""Signatures of DKIM (RFC 6376): a domain says that a message is its own, and has not changed."""
