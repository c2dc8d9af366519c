"""Numbers as people say them."""


def counted(count: int, one: str) -> str:
    """So many of a thing.

    >>> counted(1, "epoch"), counted(90, "epoch")
    ('1 epoch', '90 epochs')
    """
    return f"{count:,} {one}{'' if count == 1 else 's'}"
