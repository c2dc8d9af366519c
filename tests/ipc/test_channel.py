"""Tests of ``Channel``."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.errors import PeerLost, ProtocolError
from lib.ipc.channel import Channel
from lib.ipc.messages import Fill, Filled, Stop

Pair = tuple[Channel, Channel]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    path = tmp_path / "s"
    ends = (
        Channel(path, bind=True, peer="trainer 0", patience_s=0.3),
        Channel(path, bind=False, peer="loader 0", patience_s=0.3),
    )
    yield ends
    for end in ends:
        end.close()


def test_messages_arrive_in_order(pair: Pair) -> None:
    loader, trainer = pair
    for batch in range(20):
        trainer.send(Fill(0, "train", 1, batch))
    assert [loader.receive(Fill).batch for _ in range(20)] == list(range(20))
    assert not loader.ready()


def test_an_unexpected_message_is_an_error_that_names_it(pair: Pair) -> None:
    loader, trainer = pair
    loader.send(Stop())
    with pytest.raises(ProtocolError, match="expected Filled from loader 0, got Stop"):
        trainer.receive(Filled)


def test_silence_raises_peer_lost_with_the_name_of_the_peer(pair: Pair) -> None:
    start = time.monotonic()
    with pytest.raises(PeerLost, match=r"loader 0 sent no Filled for 0.3 s"):
        pair[1].receive(Filled)
    assert 0.25 < time.monotonic() - start < 10


def test_sending_to_nobody_raises_peer_lost(tmp_path: Path) -> None:
    alone = Channel(tmp_path / "s", bind=True, peer="trainer 0", patience_s=0.2)
    with pytest.raises(PeerLost, match="trainer 0 did not receive Stop within 0.2 s"):
        alone.send(Stop())
    alone.close()


def test_on_wait_is_called_while_waiting(tmp_path: Path) -> None:
    waits: list[str] = []
    alone = Channel(tmp_path / "s", bind=True, peer="loader 0", patience_s=1.2, on_wait=waits.append)
    with pytest.raises(PeerLost):
        alone.receive(Filled, Stop)
    alone.close()
    assert len(waits) >= 2
    assert set(waits) == {"waiting for Filled or Stop from loader 0"}
