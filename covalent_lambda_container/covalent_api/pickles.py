"""Reads and writes pickles without unpickling: nothing in a pickle can run here."""

from __future__ import annotations

import base64
import contextlib
import io
import pickle
import pickletools
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

_SUBIMPORT: Final = ("cloudpickle.cloudpickle", "subimport")
"""How cloudpickle refers to a module: a call of this function with the module's name."""

_PUTS: Final = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GETS: Final = frozenset({"GET", "BINGET", "LONG_BINGET"})
_HASHING: Final = frozenset({"DICT", "SETITEM", "SETITEMS", "ADDITEMS", "FROZENSET"})
_NO_TUPLE: Final = frozenset(
    {
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING"),
        *("SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
        *("EMPTY_LIST", "LIST", "EMPTY_DICT", "DICT", "EMPTY_SET"),
    }
)
"""Opcodes that push a value other than a tuple."""

_OF_A_REFERENCE: Final = frozenset(
    {"PROTO", "FRAME", "SHORT_BINUNICODE", "MEMOIZE", "STACK_GLOBAL", "STOP"}
)

PICKLE_PROTOCOL: Final = 5
"""Highest protocol of every Python that this project supports."""

Sized = tuple[int, Iterable[bytes]]
"""A pickle: its size, and its bytes in pieces."""


class PickleFile(Protocol):
    """A file from which `pickletools` reads a pickle."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes, or fewer at the end."""

    def readline(self) -> bytes:
        """Return the bytes up to the end of a line."""


@dataclass(frozen=True, kw_only=True)
class References:
    """The names and strings in a pickle.

    Parameters
    ----------
    names
        ``(module, qualified name)`` of every global it would import; for a module,
        ``(module, "")``.
    texts
        Every string in it.
    """

    names: frozenset[tuple[str, str]]
    texts: frozenset[str]

    def package(self, name: str) -> bool:
        """Return whether anything of a package is referred to."""
        return any(module.partition(".")[0] == name for module, _ in self.names)


def references(pickled: bytes | PickleFile) -> References:
    """Return what a pickle refers to, read from its opcodes."""
    names: set[tuple[str, str]] = set()
    texts: set[str] = set()
    # STACK_GLOBAL takes the two values pushed last; either may come from the memo.
    pushed: deque[Any] = deque([None, None], maxlen=2)
    memo: dict[int, Any] = {}
    argument: Any
    for opcode, argument in _opcodes(pickled):
        if opcode.name == "MEMOIZE":
            memo[len(memo)] = pushed[-1]
        elif opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = pushed[-1]
        elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
            pushed.append(memo.get(argument))
        elif opcode.name == "STACK_GLOBAL":
            name = (pushed[-2], pushed[-1])
            if all(isinstance(part, str) for part in name):
                names.add(name)
            pushed.append(name)
        elif opcode.name == "GLOBAL":
            module, _, qualified = argument.partition(" ")
            names.add((module, qualified))
            pushed.append((module, qualified))
        elif isinstance(argument, str):
            texts.add(argument)
            if pushed[-1] == _SUBIMPORT:
                names.add((argument, ""))
            pushed.append(argument)
        else:
            pushed.append(None)
    return References(names=frozenset(names), texts=frozenset(texts))


def _opcodes(pickled: bytes | PickleFile) -> Iterator[tuple[Any, Any]]:
    """Yield opcodes and their arguments, those before the fault if a pickle is broken.

    Whoever unpickles it comes to the same fault, and fails; that is not for the reader to report.
    """
    with contextlib.suppress(ValueError, OverflowError, struct.error):
        for opcode, argument, _ in pickletools.genops(pickled):  # type: ignore[arg-type]
            yield opcode, argument


def is_reference(pickled: bytes, name: tuple[str, str]) -> bool:
    """Return whether a pickle is a reference to this global, and does nothing else."""
    opcodes = {opcode.name for opcode, _ in _opcodes(pickled)}
    return opcodes <= _OF_A_REFERENCE and references(pickled).names == {name}


def is_pickle_text(text: str) -> bool:
    """Return whether a text is the base64 text of a pickle, as `base64` decodes it."""
    try:
        for _ in pickletools.genops(base64.b64decode(text)):
            pass
    except Exception:
        # The decoder and the reader of opcodes raise many kinds of errors.
        return False
    return True


def plain_value(pickled: bytes) -> Any:
    """Unpickle lists, dictionaries, strings and numbers.

    Raises
    ------
    pickle.UnpicklingError
        The pickle refers to anything that would have to be imported, or is broken.
    """
    try:
        _check_cost(pickled)
        return _PlainUnpickler(io.BytesIO(pickled)).load()
    except pickle.UnpicklingError:
        raise
    except Exception as exc:
        raise pickle.UnpicklingError(f"the pickle is broken: {exc}") from exc


def pickled_list(elements: Iterable[Sized]) -> Iterator[bytes]:
    """Yield the pickle of a list whose elements are given as pickles.

    Each element becomes a call of ``pickle.loads`` on its own bytes, unopened. The opcodes
    are written here because pickle would have all of the bytes in memory, and in one call.
    """
    yield pickle.PROTO + bytes([PICKLE_PROTOCOL]) + pickle.EMPTY_LIST
    for element in elements:
        yield from _loaded(element)
        yield pickle.APPEND
    yield pickle.STOP


def pickled_dict(keys: Sized, values: Sized) -> Iterator[bytes]:
    """Yield the pickle of ``dict(zip(keys, values))``, both given as pickles of sequences."""
    yield pickle.PROTO + bytes([PICKLE_PROTOCOL]) + _global(dict) + _global(zip)
    yield from _loaded(keys)
    yield from _loaded(values)
    yield pickle.TUPLE2 + pickle.REDUCE + pickle.TUPLE1 + pickle.REDUCE + pickle.STOP


def _check_cost(pickled: bytes) -> None:
    """Refuse pickles whose cost is out of proportion to their size.

    The unpickler allocates its memo up to the largest index. Keys are hashed, and the hash of a
    tuple visits each element as often as it occurs: nested tuples with shared elements take
    exponential time.
    """
    previous = ""
    memoized = 0
    maybe_tuples: set[int] = set()
    shares_tuples = hashes = False
    for opcode, argument, _ in pickletools.genops(pickled):
        name = opcode.name
        if name == "MEMOIZE" or name in _PUTS:
            index = memoized if name == "MEMOIZE" else int(argument or 0)
            if index > len(pickled):
                raise pickle.UnpicklingError(f"its memo has an index {argument}")
            memoized += 1
            if previous not in _NO_TUPLE:
                maybe_tuples.add(index)
        elif name in _GETS:
            shares_tuples = shares_tuples or int(argument or 0) in maybe_tuples
        shares_tuples = shares_tuples or name == "DUP"
        hashes = hashes or name in _HASHING
        previous = name
    if shares_tuples and hashes:
        raise pickle.UnpicklingError("it has keys and repeated tuples")


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it refers to {module}.{name}, where plain data was expected")


def _loaded(element: Sized) -> Iterator[bytes]:
    """Yield the call that opens a pickle."""
    size, pieces = element
    yield _global(pickle.loads) + pickle.BINBYTES8 + size.to_bytes(8, "little")
    yield from pieces
    yield pickle.TUPLE1 + pickle.REDUCE


def _global(function: Any) -> bytes:
    return pickle.GLOBAL + f"{function.__module__}\n{function.__qualname__}\n".encode()
