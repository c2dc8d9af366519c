"""Numbers as people say them."""


def pluralize(count: int, one: str) -> str:
    """So many of a thing.

    >>> pluralize(1, "epoch"), pluralize(90, "epoch")
    ('1 epoch', '90 epochs')
    """
    return f"{count:,} {one}{'' if count == 1 else 's'}"
