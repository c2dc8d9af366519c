"""A part of the launcher's store that nothing before this start of the run has written to.

torchrun keeps one store over its restarts (since torch 2.5; pytorch issue 135712), and what it gives as the count of
restarts differs from machine to machine. So the addresses of processes that are gone are still found under the same
keys, and a restart that reads them fails or waits for its deadline.
"""

import time
import uuid
from datetime import timedelta

from torch.distributed import DistStoreError, PrefixStore, Store

from lib.errors import PeerLost

_PAUSE_S = 0.01


def fresh_store(store: Store, rank: int, world_size: int, patience_s: float) -> Store:
    """The part of ``store`` that the ``world_size`` workers of this start share. All of them call this.

    They agree on a name that no earlier start can know. Each worker lays down a word that it has just made up; worker 0
    answers every word it finds with the name. Where it finds an old one, nobody listens, and it answers the new one
    later. Whoever hears the own word answered confirms it under the name; when all have, all are of this start.

    Raises PeerLost when worker 0 has not heard of all others within ``patience_s`` seconds, or another one not of
    worker 0.
    """
    if rank == 0:
        name = uuid.uuid4().hex
        _answer(store, name, set(range(1, world_size)), patience_s)
    else:
        name = _ask(store, rank, patience_s)
        store.set(_confirmed(name, rank), "")
    return PrefixStore(name, store)


def _ask(store: Store, rank: int, patience_s: float) -> str:
    word = uuid.uuid4().hex
    store.set(_word(rank), word)
    try:
        store.wait([_answer_to(word)], timedelta(seconds=patience_s))
    except DistStoreError:
        raise PeerLost(f"worker 0 was not there within {patience_s:g} s") from None
    return store.get(_answer_to(word)).decode()


def _answer(store: Store, name: str, missing: set[int], patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while missing:
        if time.monotonic() > deadline:
            ranks = ", ".join(map(str, sorted(missing)))
            raise PeerLost(f"workers {ranks} were not there within {patience_s:g} s")
        for rank in missing:
            if store.check([_word(rank)]):
                store.set(_answer_to(store.get(_word(rank)).decode()), name)
        time.sleep(_PAUSE_S)
        missing = {rank for rank in missing if not store.check([_confirmed(name, rank)])}


def _word(rank: int) -> str:
    return f"fresh/word/{rank}"


def _answer_to(word: str) -> str:
    return f"fresh/answer/{word}"


def _confirmed(name: str, rank: int) -> str:
    return f"fresh/{name}/{rank}"
