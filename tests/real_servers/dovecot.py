"""Dovecot's submission service, and its logins in the service of Postfix."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .running import MEMBER, PASSWORD, USER, Site, found, free_port, serving

MECHANISMS = (
    *("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"),
    *("OAUTHBEARER", "XOAUTH2", "EXTERNAL"),
)

TOKEN_KEY = b"the key that tokens are signed with, by whoever issues them"

_AUTH = """
base_dir = <folder>/run
state_dir = <folder>/run
log_path = <folder>/log
listen = 127.0.0.1
disable_plaintext_auth = no
auth_failure_delay = 0
auth_verbose = yes
auth_mechanisms = {mechanisms}
passdb {{
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = <folder>/oauth2.conf
}}
passdb {{
  driver = passwd-file
  args = <folder>/passwd
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home=<folder>/home
}}
mail_location = maildir:<folder>/home/mail
service anvil {{
  chroot =
  # Without it, nobody who has failed once has to wait.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""

_SUBMISSION = """
protocols = submission
hostname = mail.test
ssl = yes
ssl_cert = <<certificate>
ssl_key = <<certificate>
ssl_ca = <<ca>
ssl_verify_client_cert = yes
ssl_require_crl = no
auth_ssl_username_from_cert = yes
ssl_cert_username_field = commonName
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
submission_relay_trusted = yes
service submission-login {{
  chroot =
  inet_listener submission {{
    port = {port}
  }}
  inet_listener submissions {{
    port = 0
  }}
}}
"""

_FOR_POSTFIX = """
protocols =
service auth {{
  unix_listener {socket} {{
    mode = 0666
  }}
}}
"""

_OAUTH2 = """
introspection_mode = local
local_validation_key_dict = fs:posix:prefix=<folder>/keys/
username_attribute = sub
"""


def _program() -> Path:
    program = found("dovecot", "dovecot-core")
    version = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True
    ).stdout
    if not version.startswith("2.3."):
        pytest.skip(f"Dovecot {version.split()[0]} has another configuration than 2.3")
    return program


def _configure(site: Site, more: str, mechanisms: tuple[str, ...]) -> Path:
    me = pwd.getpwuid(os.geteuid()).pw_name
    user, group = ("nobody", "nogroup") if me == "root" else (me, str(os.getegid()))
    text = _AUTH.format(mechanisms=" ".join(mechanisms).lower(), user=user, group=group)
    if me != "root":
        text += f"default_internal_user = {me}\ndefault_login_user = {me}\n"
        text += f"default_internal_group = {group}\n"
    site.share("home", user)
    (site.folder / "run").mkdir()
    site.write("passwd", f"{USER}:{{PLAIN}}{PASSWORD}\n{MEMBER}:::::::nopassword=y\n")
    site.write("oauth2.conf", _OAUTH2)
    site.write("keys/default/HS256/default", b64encode(TOKEN_KEY).decode())
    return site.write("dovecot.conf", text + more)


@contextmanager
def submission(site: Site) -> Iterator[int]:
    """Run the submission service, which hands on to nowhere, and return its port."""
    program = _program()
    if not Path("/usr/lib/dovecot/submission-login").exists():
        pytest.skip("there is no submission-login (package dovecot-submissiond of Debian)")
    relay, port = free_port(), free_port()
    config = _configure(site, _SUBMISSION.format(relay=relay, port=port), MECHANISMS)
    throwing_away = [sys.executable, "-m", f"{__package__}.relay", str(relay)]
    with (
        serving(throwing_away, relay, site.folder / "relay.log"),
        serving([program, "-F", "-c", config], port, site.folder / "output"),
    ):
        yield port


@contextmanager
def logins_for_postfix(site: Site, socket: str, mechanisms: tuple[str, ...]) -> Iterator[None]:
    """Run what checks logins, on the Unix socket ``socket`` in the folder of ``site``."""
    program, listener = _program(), site.folder / socket
    config = _configure(site, _FOR_POSTFIX.format(socket=listener), mechanisms)
    with serving([program, "-F", "-c", config], listener, site.folder / "output"):
        yield
