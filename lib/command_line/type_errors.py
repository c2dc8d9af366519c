"""What jsonargparse says of a value of the wrong kind, put as all other errors here are."""

import re

_SAID = re.compile(r'Parser key "([\w.]+)": Expected a (.+?)\. Got value: (.*)')
_KINDS = {
    "<class 'int'>": "a whole number",
    "<class 'float'>": "a number",
    "<class 'bool'>": "true or false",
    "<class 'tuple'>": "a list, e.g. '[a, b]'",
}


def in_our_words(said: str) -> str:
    """The same in our words, on one line; what is not known as such an error stays as it is.

    >>> in_our_words("Parser key \\"a.b\\": Expected a typing.Literal['x', 'y']. Got value: z")
    'a.b is z; it must be one of x, y'
    >>> in_our_words("argument --a.b: expected one argument")
    'argument --a.b: expected one argument'
    """
    said = " ".join(said.split())
    match = _SAID.fullmatch(said)
    if not match:
        return said
    key, kind, value = match.groups()
    if kind.startswith("typing.Literal["):
        known = kind.removeprefix("typing.Literal[").removesuffix("]").replace("'", "")
        return f"{key} is {value}; it must be one of {known}"
    return f"{key} is {value}; it must be {_KINDS.get(kind, kind)}"
