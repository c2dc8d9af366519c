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


def test_another_message_than_expected_is_named(pair: Pair) -> None:
    loader, trainer = pair
    loader.send(Stop())
    with pytest.raises(ProtocolError, match="expected Filled from loader 0, got Stop"):
        trainer.receive(Filled)


def test_silence_ends_in_an_error_with_a_name(pair: Pair) -> None:
    began = time.monotonic()
    with pytest.raises(PeerLost, match=r"loader 0 sent no Filled for 0.3 s"):
        pair[1].receive(Filled)
    assert 0.25 < time.monotonic() - began < 10


def test_nobody_there_to_take_a_message(tmp_path: Path) -> None:
    alone = Channel(tmp_path / "s", bind=True, peer="trainer 0", patience_s=0.2)
    with pytest.raises(PeerLost, match="trainer 0 did not take Stop within 0.2 s"):
        alone.send(Stop())
    alone.close()


def test_a_waiting_process_gives_signs_of_life(tmp_path: Path) -> None:
    said: list[str] = []
    alone = Channel(tmp_path / "s", bind=True, peer="loader 0", patience_s=1.2, on_wait=said.append)
    with pytest.raises(PeerLost):
        alone.receive(Filled, Stop)
    alone.close()
    assert len(said) >= 2
    assert set(said) == {"waiting for Filled or Stop from loader 0"}
