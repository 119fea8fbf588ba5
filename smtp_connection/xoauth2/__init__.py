"""Access tokens for XOAUTH2, renewed when needed: the npm package ``xoauth2``, and nodemailer's."""

from .generator import Token, XOAuth2Generator, create_xoauth2_generator, createXOAuth2Generator

__all__ = ["Token", "XOAuth2Generator", "create_xoauth2_generator", "createXOAuth2Generator"]
