"""What is special about Twisted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.interfaces import IReadDescriptor
from zope.interface.verify import verifyObject

from smtp_connection.hosting import attach_twisted
from tests.hosting.loops import TwistedLoop, first_twisted


@pytest.fixture(scope="module", autouse=True)
def prepared() -> Iterator[None]:
    with first_twisted():
        yield


@pytest.fixture
def loop() -> Iterator[TwistedLoop]:
    loop = TwistedLoop()
    yield loop
    loop.close()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_not_even_the_end_of_the_program_detaches_the_reactor(loop, hosted, error):
    """As in every call that Twisted makes."""

    def end() -> None:
        raise error

    with attach_twisted(hosted, loop=loop.own):
        hosted.call_soon(end)
        hosted.call_soon(loop.stop)
        loop.run()
    assert [type(each) for each in loop.errors] == [error]


def test_it_is_what_twisted_reads_from(loop, hosted):
    with attach_twisted(hosted, loop=loop.own):
        for reader in loop.own.getReaders():
            if reader.logPrefix() == "smtp_connection":
                assert verifyObject(IReadDescriptor, reader)
                reader.connectionLost(None)
        hosted.call_soon(loop.stop)
        loop.run()
