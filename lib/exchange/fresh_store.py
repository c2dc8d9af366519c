"""A namespace of torchrun's store that no earlier start of the run has written to.

torchrun keeps one store across restarts (since torch 2.5; pytorch issue 135712), and the restart count that it reports
differs between machines. Addresses of dead processes therefore remain under the same keys, and a restart that reads
them fails or waits until its timeout.
"""

import time
import uuid
from datetime import timedelta

from torch.distributed import DistStoreError, PrefixStore, Store

from ..errors import PeerLost

_POLL_S = 0.01


def fresh_store(store: Store, rank: int, world_size: int, patience_s: float) -> Store:
    """Return a namespace of ``store`` that only the ``world_size`` workers of this start share. All of them call this.

    Worker 0 chooses a random name for the namespace. Every other worker publishes a random nonce, and worker 0 replies
    with the name under each nonce that it finds. A nonce of an earlier start gets a reply that nobody reads; worker 0
    polls again until it finds the new one. A worker that receives the reply to its own nonce confirms it under the
    name. When all have confirmed, all belong to this start.

    Raises PeerLost if the others do not confirm, or worker 0 does not reply, within ``patience_s`` seconds.
    """
    nonces, replies = PrefixStore("fresh/nonce", store), PrefixStore("fresh/reply", store)
    own_id = uuid.uuid4().hex
    if rank:
        nonces.set(str(rank), own_id)
        try:
            replies.wait([own_id], timedelta(seconds=patience_s))
        except DistStoreError:
            raise PeerLost(f"worker 0 did not start within {patience_s:g} s; see its output for the cause") from None
        fresh = PrefixStore(replies.get(own_id).decode(), store)
        fresh.set(f"confirmed/{rank}", "")
        return fresh
    fresh = PrefixStore(own_id, store)
    deadline = time.monotonic() + patience_s
    missing = [str(other) for other in range(1, world_size)]
    while missing:
        if time.monotonic() > deadline:
            ranks = ", ".join(missing)
            raise PeerLost(f"workers {ranks} did not start within {patience_s:g} s; see their output for the cause")
        for other in missing:
            if nonces.check([other]):
                replies.set(nonces.get(other).decode(), own_id)
        time.sleep(_POLL_S)
        missing = [other for other in missing if not fresh.check([f"confirmed/{other}"])]
    return fresh
