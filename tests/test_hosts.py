"""What a host is, and what this one is called; ``is_loopback`` is tested with the warning that
asks it (``sessions/test_clear_text.py``)."""

from __future__ import annotations

import socket

import pytest

from smtp_connection.hosts import is_ip, own_name


@pytest.mark.parametrize("text", ["192.0.2.1", "::1", "2001:db8::1", "fe80::1%lo"])
def test_ip_addresses(text):
    assert is_ip(text)


@pytest.mark.parametrize("text", ["", "localhost", "192.0.2", "192.0.2.1:25", "[::1]", " ::1", "1"])
def test_what_is_no_ip_address(text):
    assert not is_ip(text)


def test_the_name_of_this_machine():
    assert own_name() == socket.gethostname()
