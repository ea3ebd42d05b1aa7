"""A function that ``torch.compile`` leaves as it is written, at no cost to those who never compile."""

import functools
from collections.abc import Callable

import torch

__all__ = ["uncompiled"]


def uncompiled(function: Callable) -> Callable:
    """Run a function as written inside a compiled program too.

    The metrics are: traced they are no faster, and take minutes to compile. ``torch.compiler.disable`` leaves them out
    as well, but loads the compiler where it decorates, which is half of the package's start; torch's own lazy form of
    it loads nothing until a compiled program comes here.

    Examples
    --------
    >>> @uncompiled
    ... def double(x):
    ...     return 2 * x
    >>> double(torch.tensor(3))
    tensor(6)
    """
    left_alone = torch._disable_dynamo(function)

    @functools.wraps(function)
    def call(*args, **kwargs):
        if torch.compiler.is_dynamo_compiling():
            return left_alone(*args, **kwargs)
        return function(*args, **kwargs)

    return call
