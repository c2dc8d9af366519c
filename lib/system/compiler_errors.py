"""Explain errors of PyTorch's compiler, torch.compile. Does not import it."""

from ..errors import first_line

_COMPILER = ("torch._dynamo", "torch._inductor")


def compiler_error_text(error: BaseException) -> str:
    """Return in one line why PyTorch's compiler failed; "" for any other error, such as one of compiled code.

    >>> compiler_error_text(RuntimeError("shapes differ"))
    ''
    """
    if not any(kind.__module__.startswith(_COMPILER) for kind in type(error).__mro__):
        return ""
    cause: BaseException = getattr(error, "inner_exception", error)  # torch wraps those of its code generators
    return f"PyTorch's compiler failed ({type(cause).__name__}: {first_line(cause)})"
