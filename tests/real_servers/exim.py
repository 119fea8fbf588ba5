"""Exim, with its own authenticators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .running import PASSWORD, USER, Site, found, free_port, needs_root, serving

MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "EXTERNAL")

_CONFIG = """
primary_hostname = mail.test
spool_directory = <folder>/spool
log_file_path = <folder>/logs/%slog
pid_file_path = <folder>/spool/pid
exim_user = {user}
exim_group = {user}
keep_environment =
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
tls_advertise_hosts = *
tls_certificate = <certificate>
tls_verify_certificates = <ca>
tls_try_verify_hosts = *
auth_advertise_hosts = *
acl_smtp_rcpt = only_members
acl_smtp_data = accept
queue_only = true
tls_resumption_hosts = *

begin acl
only_members:
  accept authenticated = *
  deny message = log in first

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{name}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{eq{{$auth1}}{{{name}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{{name}}}{{{password}}}fail}}
  server_set_id = $auth1
external:
  driver = external
  public_name = EXTERNAL
  server_advertise_condition = $tls_in_certificate_verified
  server_param2 = ${{certextract {{subj_altname,mail,>:}}{{$tls_in_peercert}}}}
  server_condition = ${{if forany {{$auth2}}{{eq {{$item}}{{$auth1}}}}}}
  server_set_id = $auth1
"""


@contextmanager
def running(site: Site) -> Iterator[int]:
    """Run the daemon and return its port; it keeps what it accepts."""
    program, user = found("exim4", "exim4-daemon-light"), "Debian-exim"
    needs_root("Exim", user)
    port = free_port()
    for folder in ("spool", "logs"):
        site.share(folder, user)
    config = _CONFIG.format(port=port, user=user, name=USER, password=PASSWORD)
    command = [program, "-C", site.write("exim.conf", config), "-bdf"]
    with serving(command, port, site.folder / "output"):
        yield port
