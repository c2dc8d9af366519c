"""A namespace of torchrun's store that no earlier start of the run has written to.

torchrun keeps one store across restarts (since torch 2.5; pytorch issue 135712), and the restart count that it reports
differs between machines. Addresses of dead processes therefore remain under the same keys, and a restart that reads
them fails or waits until its timeout.
"""

import time
import uuid
from datetime import timedelta

from torch.distributed import DistStoreError, PrefixStore, Store

from lib.errors import PeerLost

_POLL_S = 0.01


def fresh_store(store: Store, rank: int, world_size: int, patience_s: float) -> Store:
    """Return a namespace of ``store`` that only the ``world_size`` workers of this start share. All of them call this.

    Worker 0 chooses a random name for the namespace. Every other worker publishes a random nonce, and worker 0 replies
    with the name under each nonce that it finds. A nonce of an earlier start gets a reply that nobody reads; worker 0
    polls again until it finds the new one. A worker that receives the reply to its own nonce confirms it under the
    name. When all have confirmed, all belong to this start.

    Raises PeerLost if the others do not confirm, or worker 0 does not reply, within ``patience_s`` seconds.
    """
    if rank == 0:
        name = uuid.uuid4().hex
        _invite(store, name, set(range(1, world_size)), patience_s)
    else:
        name = _join(store, rank, patience_s)
        store.set(_confirmation_key(name, rank), "")
    return PrefixStore(name, store)


def _join(store: Store, rank: int, patience_s: float) -> str:
    """Publish a nonce and return the name that worker 0 replies with."""
    nonce = uuid.uuid4().hex
    store.set(_nonce_key(rank), nonce)
    try:
        store.wait([_reply_key(nonce)], timedelta(seconds=patience_s))
    except DistStoreError:
        raise PeerLost(f"worker 0 did not start within {patience_s:g} s; see its output for the cause") from None
    return store.get(_reply_key(nonce)).decode()


def _invite(store: Store, name: str, missing: set[int], patience_s: float) -> None:
    """Reply with ``name`` to every nonce until all ``missing`` workers have confirmed."""
    deadline = time.monotonic() + patience_s
    while missing:
        if time.monotonic() > deadline:
            ranks = ", ".join(map(str, sorted(missing)))
            raise PeerLost(f"workers {ranks} did not start within {patience_s:g} s; see their output for the cause")
        for rank in missing:
            if store.check([_nonce_key(rank)]):
                store.set(_reply_key(store.get(_nonce_key(rank)).decode()), name)
        time.sleep(_POLL_S)
        missing = {rank for rank in missing if not store.check([_confirmation_key(name, rank)])}


def _nonce_key(rank: int) -> str:
    return f"fresh/nonce/{rank}"


def _reply_key(nonce: str) -> str:
    return f"fresh/reply/{nonce}"


def _confirmation_key(name: str, rank: int) -> str:
    return f"fresh/{name}/{rank}"
