"""Sockets, TLS, names and proxies, on the reactor; nothing of SMTP."""
