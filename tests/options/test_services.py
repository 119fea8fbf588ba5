"""Mail services by name."""

from __future__ import annotations

import pytest

from smtp_connection.options.services import SERVICES, service_of
from smtp_connection.options.transport import PoolOptions, TransportOptions


def test_all_of_them_require_tls():
    assert len(SERVICES) >= 25
    for service in SERVICES:
        options = PoolOptions.parse({"service": service.name})
        assert options.host == service.host
        assert options.port in (465, 587)
        assert options.secure or options.requireTLS
        assert options.secure is (options.port == 465)


def test_no_name_is_that_of_two():
    names = [name for service in SERVICES for name in {service.name.lower(), *service.also}]
    assert len({name.lower() for name in names}) == len({*names})
    for service in SERVICES:
        for name in (service.name, *service.also):
            assert service_of(name) is service


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("gmail", "smtp.gmail.com"),
        ("Google Mail", "smtp.gmail.com"),
        ("google-mail", "smtp.gmail.com"),
        ("someone@gmail.com", "smtp.gmail.com"),
        ("HOTMAIL", "smtp-mail.outlook.com"),
        ("mail.ru", "smtp.mail.ru"),
        ("SES-eu-west-1", "email-smtp.eu-west-1.amazonaws.com"),
        ("ses-us-gov-west-1", "email-smtp.us-gov-west-1.amazonaws.com"),
    ],
)
def test_names(name, host):
    assert service_of(name).host == host


def test_unknown_ones():
    with pytest.raises(ValueError, match="'service' takes the name of a mail service, one of AOL"):
        PoolOptions.parse({"service": "gmial"})
    with pytest.raises(TypeError, match="'service' takes the name of a mail service; got 7"):
        PoolOptions.parse({"service": 7})
    for nothing in ("", None, False):
        assert PoolOptions.parse({"service": nothing}).service is None


def test_what_is_given_beside_it_counts():
    options = TransportOptions.parse({"service": "gmail", "port": 587, "secure": False})
    assert (options.host, options.port, options.secure) == ("smtp.gmail.com", 587, False)
