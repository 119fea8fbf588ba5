"""Logins against real mail servers, with configurations of their own in temporary folders.

Nothing of the system's configuration is used or changed, and every server listens on a free port of
127.0.0.1.  A server that is not installed is skipped, and the reason names its package in Debian.
Postfix and Exim cannot be installed side by side; the environment variable ``UNPACKED`` may name a
folder with what ``dpkg -x`` has unpacked there instead::

    apt-get install dovecot-core dovecot-submissiond sasl2-bin exim4-daemon-light
    apt-get download postfix && dpkg -x postfix_*.deb /tmp/unpacked
    adduser --system postfix && addgroup --system postdrop
    UNPACKED=/tmp/unpacked python -m pytest -m real_servers
"""
