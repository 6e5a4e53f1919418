"""Lists of numbers from what programs have: lists, tuples, numpy arrays, anything with a buffer."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol, SupportsFloat

MOST: Final = 64  # numbers in one list (PROTOCOL.md, 3)


class HasToList(Protocol):
    """What has tolist(), such as a numpy array, which this package does not need."""

    def tolist(self) -> Any: ...


Numbers = Iterable[SupportsFloat] | HasToList


def floats(name: str, values: Numbers) -> array[float]:
    """A copy as doubles. TypeError if there is something that is no number, or a list of lists; ValueError if
    there are more than 64, or one is NaN or infinite: the name says which."""
    try:
        if isinstance(values, (str, bytes)):
            raise TypeError
        given: Any = values.tolist() if hasattr(values, "tolist") else values
        found = array("d", given)
    except TypeError:
        raise TypeError(f"{name} has to be a flat list of numbers, not {_short(values)}") from None
    if len(found) > MOST:
        raise ValueError(f"{name} has {len(found)} numbers, and {MOST} is the most")
    if not math.isfinite(sum(found)):
        refuse_not_finite(name, found)
    return found


def refuse_not_finite(name: str, values: Sequence[float]) -> None:
    """ValueError if one is NaN or infinite. (Of finite numbers the sum may be infinite.)"""
    for i, value in enumerate(values):
        if not math.isfinite(value):
            raise ValueError(f"{name}[{i}] is {value}: JSON has no such number; leave out what is not known, or say None")


def finite(name: str, value: SupportsFloat) -> float:
    """One number; ValueError if it is NaN or infinite."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}: JSON has no such number")
    return number


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 80 else text[:77] + "..."
