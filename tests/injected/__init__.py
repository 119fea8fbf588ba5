"""Every value of a caller's that can reach a wire: how to hand it in, and how to read it there."""

from . import envelopes, logins, messages, options, signatures, tokens

VALUES = [
    *options.VALUES,
    *logins.VALUES,
    *tokens.VALUES,
    *envelopes.VALUES,
    *messages.VALUES,
    *signatures.VALUES,
]
