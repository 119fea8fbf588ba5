"""The event loop; nothing of SMTP."""
