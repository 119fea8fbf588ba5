"""Postfix, with the logins of Cyrus SASL or of Dovecot."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import dovecot
from .running import PASSWORD, USER, Site, found, free_port, needs_root, serving, unpacked

CYRUS_MECHANISMS = (
    *("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"),
)
DOVECOT_MECHANISMS = tuple(each for each in dovecot.MECHANISMS if each != "EXTERNAL")

_MAIN = """
compatibility_level = 3.6
daemon_directory = {root}/usr/lib/postfix/sbin
command_directory = {root}/usr/sbin
shlib_directory = {root}/usr/lib/postfix
import_environment = MAIL_CONFIG LANG LD_LIBRARY_PATH
export_environment = MAIL_CONFIG LANG LD_LIBRARY_PATH
config_directory = <folder>/conf
meta_directory = <folder>/conf
queue_directory = <folder>/queue
data_directory = <folder>/data
maillog_file = <folder>/log
maillog_file_prefixes = <folder>
inet_protocols = ipv4
myhostname = mail.test
mynetworks =
alias_maps =
default_transport = discard
local_transport = discard
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_delay_reject = no
smtpd_sasl_auth_enable = yes
smtpd_tls_security_level = may
smtpd_tls_cert_file = <certificate>
smtpd_tls_key_file = <certificate>
"""

_SERVICES = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
discard unix - - n - - discard
postlog unix-dgram n - n - 1 postlogd
"""

# Debian's Postfix looks for it below its own configuration, others where cyrus_sasl_config_path
# says.
_CYRUS = """
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = mail.test
cyrus_sasl_config_path = <folder>/conf/sasl
"""

_DOVECOT = """
smtpd_sasl_type = dovecot
smtpd_sasl_path = <folder>/logins
"""

_QUEUES = (
    *("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming"),
    *("maildrop", "private", "public", "saved", "trace"),
)


def _program() -> Path:
    master = found("master", "postfix")
    needs_root("Postfix", "postfix")
    return master


@contextmanager
def _running(site: Site, more: str) -> Iterator[int]:
    master = _program()
    root = Path("/") if master.is_relative_to("/usr") else unpacked()
    port = free_port()
    site.write("conf/main.cf", _MAIN.format(root=str(root).rstrip("/")) + more)
    site.write("conf/master.cf", _SERVICES.format(port=port))
    (site.folder / "queue" / "pid").mkdir(parents=True)
    for name in ("data", *(f"queue/{each}" for each in _QUEUES)):
        site.share(name, "postfix")
    env = {"MAIL_CONFIG": str(site.folder / "conf")}
    if root != Path("/"):
        env["LD_LIBRARY_PATH"] = str(root / "usr/lib/postfix")
    command = [master, "-c", site.folder / "conf", "-d"]
    with serving(command, port, site.folder / "output", env):
        yield port


@contextmanager
def with_cyrus(site: Site) -> Iterator[int]:
    """Run Postfix with Cyrus SASL, which has its own passwords, and return the port."""
    _program()
    saslpasswd = found("saslpasswd2", "sasl2-bin")
    users = site.share("users", "postfix") / "sasldb2"
    site.write(
        "conf/sasl/smtpd.conf",
        f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {users}\n"
        f"mech_list: {' '.join(CYRUS_MECHANISMS)}\n",
    )
    subprocess.run(
        [saslpasswd, "-p", "-c", "-f", users, "-u", "mail.test", USER],
        input=PASSWORD.encode(),
        check=True,
    )
    users.chmod(0o644)
    with _running(site, _CYRUS) as port:
        yield port


@contextmanager
def with_dovecot(site: Site) -> Iterator[int]:
    """Run Postfix and return its port; Dovecot checks the logins."""
    _program()
    own = Site(site.folder / "dovecot", site.certificate, site.ca)
    own.folder.mkdir()
    mechanisms = DOVECOT_MECHANISMS
    with (
        dovecot.logins_for_postfix(own, "logins", mechanisms),
        _running(site, _DOVECOT.replace("<folder>", str(own.folder))) as port,
    ):
        yield port
