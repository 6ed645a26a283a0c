"""Reads and writes pickles without unpickling: nothing in a pickle can run here."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

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

PICKLE_PROTOCOL: Final = 5
"""Highest protocol of every Python that this project supports."""


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


def references(pickled: bytes) -> References:
    """Return what a pickle refers to, read from its opcodes."""
    names: set[tuple[str, str]] = set()
    texts: set[str] = set()
    # STACK_GLOBAL takes the two values pushed last; either may come from the memo.
    pushed: deque[Any] = deque([None, None], maxlen=2)
    memo: dict[int, Any] = {}
    argument: Any
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name == "MEMOIZE":
            memo[len(memo)] = pushed[-1]
        elif opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = pushed[-1]
        elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
            pushed.append(memo.get(argument))
        elif opcode.name == "STACK_GLOBAL":
            name = (pushed[-2], pushed[-1])
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


def pickled_list(elements: Sequence[bytes]) -> bytes:
    """Return the pickle of a list whose elements are given as pickles.

    Each element becomes a call of ``pickle.loads`` on its own bytes, unopened.
    """
    return pickle.dumps([_call(pickle.loads, element) for element in elements], PICKLE_PROTOCOL)


def pickled_dict(keys: bytes, values: bytes) -> bytes:
    """Return the pickle of ``dict(zip(keys, values))``, both given as pickles of sequences."""
    pairs = _call(zip, _call(pickle.loads, keys), _call(pickle.loads, values))
    return pickle.dumps(_call(dict, pairs), PICKLE_PROTOCOL)


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


class _Call:
    """Pickles as a call that the unpickler makes."""

    def __init__(self, function: Any, arguments: tuple[Any, ...]) -> None:
        self._function, self._arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self._function, self._arguments


def _call(function: Any, *arguments: Any) -> _Call:
    return _Call(function, arguments)
