"""SMTP and LMTP without I/O: dialogues, replies, envelopes."""
