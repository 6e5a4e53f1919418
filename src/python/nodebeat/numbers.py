"""Lists of numbers from lists, tuples, numpy arrays, and anything with a buffer."""

from __future__ import annotations

import enum
import functools
import math
import operator
import struct
from array import array
from collections.abc import Iterable
from typing import Any, Final, Protocol, SupportsFloat, SupportsIndex

MOST: Final = 64  # numbers in one list (PROTOCOL.md, 3)


class HasToList(Protocol):
    """An object with tolist(), such as a numpy array; this package does not need numpy."""

    def tolist(self) -> Any: ...


Numbers = Iterable[SupportsFloat] | HasToList


class Unset(enum.Enum):
    """The value of an argument that was not given, where None means null."""

    UNSET = 0


UNSET: Final = Unset.UNSET

# Of both arms: None is null, not known.
LISTS: Final = ("joints_l", "joints_r", "velocities_l", "velocities_r")
Lists = tuple[Numbers | Unset | None, Numbers | Unset | None, Numbers | Unset | None, Numbers | Unset | None]


# What gather() returns instead of a length.
UNSAID: Final = -1
NULL: Final = -2


def gather(lists: Lists, room: Any = None) -> tuple[list[float], list[int]]:
    """The numbers of the four lists, one list after the other, and how many each has, or UNSAID or NULL. `room`, a buffer
    of 4 x MOST doubles of this machine, gets the numbers as well. TypeError and ValueError as floats().

    Nearly always all lists are right, so they are converted and checked together: the sum of numbers of which one is NaN
    or infinite is not finite. Only if something is wrong, or unusual, one list after the other is looked at."""
    try:
        given, lengths = _joined(lists)
        doubles = _doubles(len(given))
        if room is None:
            numbers = [*doubles.unpack(doubles.pack(*given))]
        else:
            doubles.pack_into(room, 0, *given)
            numbers = [*doubles.unpack_from(room)]
        if math.isfinite(sum(numbers)):
            return numbers, lengths
    except (AttributeError, TypeError, ValueError, OverflowError, struct.error):
        pass
    numbers, lengths = _joined(tuple(values if values is None or values is UNSET else floats(name, values)
                                     for name, values in zip(LISTS, lists)))
    if room is not None:
        _doubles(len(numbers)).pack_into(room, 0, *numbers)
    return numbers, lengths


@functools.cache
def _doubles(count: int) -> struct.Struct:
    return struct.Struct(f"{count}d")


def _joined(lists: tuple[Any, ...]) -> tuple[list[Any], list[int]]:
    """Lists and tuples as they are, numpy's arrays and others by tolist(). Any exception, if one is something else."""
    joined: list[Any] = []
    lengths: list[int] = []
    for values in lists:
        if values is None:
            lengths.append(NULL)
        elif values is UNSET:
            lengths.append(UNSAID)
        else:
            if not isinstance(values, (list, tuple)):
                values = values.tolist()
            before = len(joined)
            joined += values  # as it is now: another thread may change it meanwhile
            lengths.append(len(joined) - before)
    if max(lengths) > MOST:
        raise ValueError
    return joined, lengths


def floats(name: str, values: Numbers) -> array[float]:
    """A copy as doubles. TypeError if there is something that is no number, or a list of lists; ValueError if
    there are more than 64, or one is NaN or infinite: the name says which."""
    try:
        # array() would take a bytearray for doubles of the machine; what has no order is no list.
        if isinstance(values, (str, bytes, bytearray, dict, set, frozenset)):
            raise TypeError
        given: Any = values.tolist() if hasattr(values, "tolist") else values
        found = array("d", given)
    except TypeError:
        raise TypeError(f"{name} has to be a flat list of numbers, not {_short(values)}") from None
    except OverflowError:
        raise ValueError(f"{name} has an integer that no double holds: {_short(values)}") from None
    if len(found) > MOST:
        raise ValueError(f"{name} has {len(found)} numbers, and {MOST} is the most")
    if not math.isfinite(sum(found)):  # that of finite numbers may be infinite
        for i, value in enumerate(found):
            if not math.isfinite(value):
                raise ValueError(f"{name}[{i}] is {value}: JSON has no such number; leave out what is not known, or say None")
    return found


def finite(name: str, value: SupportsFloat) -> float:
    """One number; TypeError if it is none, ValueError if it is NaN, infinite, or an integer that no double holds."""
    if isinstance(value, (str, bytes, bytearray)):
        raise TypeError(f"{name} has to be a number, not {_short(value)}")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{name} is an integer that no double holds: {_short(value)}") from None
    except TypeError:
        raise TypeError(f"{name} has to be a number, not {_short(value)}") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}: JSON has no such number")
    return number


def whole(name: str, value: object) -> int:
    """An integer that a double holds exactly; numpy's are taken as well."""
    if not isinstance(value, SupportsIndex):
        raise TypeError(f"{name} has to be an integer, not {_short(value)}")
    number = operator.index(value)
    if abs(number) >= 1 << 53:
        raise ValueError(f"{name} is {_short(number)}, and JSON's integers end at 2^53")
    return number


def text(name: str, value: object, most: int) -> str:
    """A text of at most so many bytes of UTF-8."""
    if not isinstance(value, str):
        raise TypeError(f"{name} has to be a text, not {_short(value)}")
    size = len(value.encode())  # UnicodeEncodeError, a ValueError, for an unpaired surrogate
    if size > most or "\0" in value:
        raise ValueError(f"{name} has {size} bytes, and {most} without a NUL are the most")
    return value


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of more than 4300 digits
        text = f"a {type(value).__name__}"
    return text if len(text) < 80 else text[:77] + "..."
