"""Connections are shared out evenly between whoever has begun; nobody is handed one who is gone."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from fashion_assets.serving.api.sharing import Sharing

SECONDS = 30
MORE_THAN_A_CHANNEL_HOLDS = 400


class Process:
    """What a process does with its channel."""

    def __init__(self, sharing: Sharing, begins: bool = True):
        self.channel = sharing.channel()
        self.channel.settimeout(SECONDS)
        self.taken: list[socket.socket] = []
        if begins:
            self.channel.send(b"+")

    def take(self, number: int = 1) -> None:
        for _ in range(number):
            said, (handed,), _, _ = socket.recv_fds(self.channel, 1, 1)
            assert said == b"."
            self.taken.append(socket.socket(fileno=handed))

    def close(self, number: int) -> None:
        for _ in range(number):
            self.taken.pop().close()
        self.channel.send(b"-" * number)

    def has_more(self) -> bool:
        self.channel.setblocking(False)
        try:
            return bool(self.channel.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        finally:
            self.channel.settimeout(SECONDS)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=2_000) as made:
        yield made


@pytest.fixture
def sharing(listening: socket.socket) -> Iterator[Sharing]:
    with Sharing(listening) as started:
        yield started


@pytest.fixture
def callers(listening: socket.socket) -> Iterator["Callers"]:
    with ExitStack() as stack:
        yield Callers(listening.getsockname(), stack)


class Callers:
    def __init__(self, address: tuple, stack: ExitStack):
        self._address, self._stack = address, stack

    def come(self, number: int) -> list[socket.socket]:
        return [
            self._stack.enter_context(socket.create_connection(self._address, SECONDS)) for _ in range(number)
        ]


def test_whoever_has_fewest_is_handed_the_next(sharing: Sharing, callers: Callers):
    first, second = Process(sharing), Process(sharing)
    callers.come(40)
    first.take(20)
    second.take(20)
    assert not first.has_more() and not second.has_more()
    first.close(5)
    callers.come(5)
    first.take(5)
    assert not second.has_more()


def test_one_after_the_other_goes_to_one_after_the_other(sharing: Sharing, callers: Callers):
    both = [Process(sharing), Process(sharing)]
    for turn in range(6):
        callers.come(1)
        both[turn % 2].take()
        both[turn % 2].close(1)


def test_whoever_has_not_begun_or_is_gone_is_handed_none(sharing: Sharing, callers: Callers):
    waiting, gone = Process(sharing, begins=False), Process(sharing)
    (one,) = callers.come(1)
    gone.take()
    gone.channel.close()
    # It has the fewest but for those it was handed; that it is gone is known before the next is accepted.
    later = callers.come(3)
    waiting.channel.send(b"+")
    waiting.take(3)
    assert {each.getpeername() for each in waiting.taken} == {each.getsockname() for each in later}
    assert gone.taken[0].getpeername() == one.getsockname()


def test_whoever_takes_nothing_keeps_nobody_from_another(sharing: Sharing, callers: Callers):
    still = Process(sharing)
    callers.come(MORE_THAN_A_CHANNEL_HOLDS)
    other = Process(sharing)
    other.take()
    still.take()
    assert still.has_more()


def test_at_the_end_nobody_is_accepted(listening: socket.socket, callers: Callers):
    with Sharing(listening) as sharing:
        process = Process(sharing)
        callers.come(1)
        process.take()
    assert process.channel.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        callers.come(1)
    process.taken[0].close()
