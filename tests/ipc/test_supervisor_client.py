"""What a process reports to its supervisor, and how often."""

import time
from pathlib import Path

import zmq

from lib.ipc.messages import Heartbeat, decode
from lib.ipc.supervisor_client import SupervisorClient


def test_the_same_work_is_reported_again_at_once_only_if_it_may_take_another_time(tmp_path: Path) -> None:
    context = zmq.Context()
    inbox = context.socket(zmq.PULL)
    inbox.bind(f"ipc://{tmp_path / 's'}")
    client = SupervisorClient(tmp_path / "s", "trainer 0", 60)
    time.sleep(0.1)
    client.heartbeat("training")
    client.heartbeat("training")
    client.heartbeat("training", patience_s=600)
    received = []
    while inbox.poll(500):
        received.append(decode(inbox.recv()))
    assert received == [Heartbeat("trainer 0", "training", 60), Heartbeat("trainer 0", "training", 600)]
    client.close()
    context.destroy(linger=0)
