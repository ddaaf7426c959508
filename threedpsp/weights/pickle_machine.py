"""Reads the data inside a pickle without unpickling it: nothing is imported, called or instantiated.

A pickle is a program for a small stack machine. This is that machine with its hands tied: globals stay names
(`Global`), calls and object states go to a `Names` table that knows a few of them and refuses the rest, long byte
strings are not read at all (`Span`), and every length is checked against the file before it is believed.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BufferedReader, BytesIO
from typing import Any

from ..errors import WeightsError

BinaryFile = BufferedReader | BytesIO
"""An open file, or bytes of one."""
MAX_OPERATIONS = 250_000  # EG3D's largest file has 50,000, a torch file with two optimizers about 150,000
MAX_TEXT = 4 << 20  # characters' bytes in one string: EG3D embeds whole source files
MAX_TEXT_IN_ALL = 32 << 20
MAX_KEY_TEXT = 200  # characters of all texts in a key that is a tuple: hashing and showing it costs as much
SHORT_BYTES = 16  # byte strings up to this length (numbers) are read, longer ones become spans

_HARMLESS = {"datetime", "decimal", "fractions", "uuid", "pathlib", "collections"}
"""Modules of Python that have nothing for an attack in them."""
_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*"


@dataclass(frozen=True)
class Global:
    """The name of a class or function that the file refers to; only ever a name."""

    module: str
    name: str

    @property
    def path(self) -> str:
        """module.name."""
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class Span:
    """Bytes that were left in the file."""

    offset: int
    length: int


@dataclass(eq=False)
class Stub:
    """An object of the file: the name of its class, and the state it was given."""

    name: str
    state: dict[str, Any] = field(default_factory=dict)
    built: bool = False


class Names:
    """The names that a kind of file may use. This one allows none; each kind of file has a child of it."""

    def check(self, name: Global) -> None:
        """Raises WeightsError unless the file may mention this name."""
        raise _refused("refers to", name)

    def call(self, name: Global, arguments: tuple[Any, ...]) -> Any:
        """What stands for the result of calling `name`; the real thing is never called."""
        raise _refused("calls", name)

    def new(self, name: Global, arguments: tuple[Any, ...]) -> Any:
        """What stands for a new object of class `name`."""
        raise _refused("makes an object of", name)

    def build(self, target: Any, state: Any) -> None:
        """Gives an object its state."""
        if isinstance(target, Stub) and not target.built and _is_state(state):
            target.state, target.built = state, True
            return
        raise WeightsError("it sets the state of something that is no network part. Do not trust this file.")

    def persistent(self, identifier: Any) -> Any:
        """What stands for an object stored outside the pickle."""
        raise WeightsError("it refers to objects outside the pickle, which this kind of file never does.")


class PickleMachine:
    """Runs one pickle from `file` (from its present position, never past `end`) over a table of names."""

    def __init__(self, file: BinaryFile, end: int, names: Names) -> None:
        self.file = file
        self.end = end
        self.names = names
        self.position = file.tell()
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.text = 0

    def load(self) -> Any:
        """The object that the pickle describes, made of plain values, `Global`, `Span`, `Stub` and what `names` gives.

        Raises:
            WeightsError: damaged, or something that no weights file does. The file's position is then undefined.
        """
        for _ in range(MAX_OPERATIONS):
            code = self.file.read(1) if self.position < self.end else b""
            self.position += 1
            if code == b".":
                return self.pop()
            if not code:
                raise WeightsError(f"it ends too early, at byte {self.position - 1:,}. Copy or download it again.")
            operation = _OPERATIONS.get(code)
            if operation is None:
                where = f"opcode {code!r} at byte {self.position - 1}"
                raise WeightsError(f"it is damaged, or a pickle of something else than weights ({where}).")
            operation(self)
        raise WeightsError(f"its pickle has more than {MAX_OPERATIONS:,} operations; real weights files have fewer.")

    def check_end(self) -> None:
        """Raises WeightsError if anything follows the pickle that was loaded."""
        if self.position != self.end:
            raise WeightsError(
                f"{self.end - self.position:,} bytes follow its end, at byte {self.position:,}; no weights file has "
                "them. Copy or download it again."
            )

    def read(self, count: int) -> bytes:
        """The next bytes; the end of the file is an error."""
        self.claim(count)
        data = self.file.read(count)
        if len(data) != count:
            raise WeightsError(f"it ends too early, at byte {self.position + len(data)}. Copy or download it again.")
        self.position += count
        return data

    def claim(self, count: int) -> None:
        """Raises WeightsError unless `count` more bytes are there."""
        if count > self.end - self.position:
            raise WeightsError(
                f"it claims {count:,} bytes at byte {self.position:,} and has {max(0, self.end - self.position):,}; "
                "it is cut off or damaged. Copy or download it again."
            )

    def number(self, layout: str) -> Any:
        """One number in `struct` notation."""
        return struct.unpack(layout, self.read(struct.calcsize(layout)))[0]

    def line(self) -> str:
        """Text up to a newline (at most 256 bytes)."""
        line = self.file.readline(256)
        if not line.endswith(b"\n") or len(line) > self.end - self.position:
            raise WeightsError(f"it is damaged: no end of a name at byte {self.position}.")
        self.position += len(line)
        return _decoded(line[:-1])

    def push_text(self, length: int) -> None:
        """Push text of a given length."""
        self.text += length
        if length > MAX_TEXT or self.text > MAX_TEXT_IN_ALL:
            raise WeightsError(f"it holds {self.text:,} bytes of text; weights files have less.")
        self.push(_decoded(self.read(length)))

    def push_bytes(self, length: int) -> None:
        """Push bytes: short ones as they are, long ones as a `Span`."""
        if length <= SHORT_BYTES:
            self.push(self.read(length))
            return
        self.claim(length)
        self.push(Span(self.position, length))
        self.position += length
        self.file.seek(self.position)

    def push(self, value: Any) -> None:
        """Onto the stack."""
        self.stack.append(value)

    def pop(self) -> Any:
        """From the stack, but not past the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise WeightsError(f"it is damaged: the stack is empty at byte {self.position}.")
        return self.stack.pop()

    def top(self, kind: type) -> Any:
        """The value on top, which must be of a kind."""
        value = self.pop()
        self.stack.append(value)
        if not isinstance(value, kind):
            raise WeightsError(f"it is damaged: a {type(value).__name__} at byte {self.position} where others stand.")
        return value

    def since_mark(self) -> list[Any]:
        """All values pushed since the last mark."""
        if not self.marks:
            raise WeightsError(f"it is damaged: no mark at byte {self.position}.")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def push_tuple(self, count: int) -> None:
        """Push a tuple of the last few values."""
        values = [self.pop() for _ in range(count)]
        self.push((*reversed(values),))

    def put(self, index: int) -> None:
        """Remember the value on top."""
        self.memo[index] = self.top(object)

    def get(self, index: int) -> None:
        """Push a remembered value."""
        if index not in self.memo:
            raise WeightsError(f"it is damaged: value {index} at byte {self.position} was never stored.")
        self.push(self.memo[index])

    def set_items(self, pairs: list[Any]) -> None:
        """Keys and values, alternating, into the dict on top."""
        target = self.top(dict)
        if len(pairs) % 2:
            raise WeightsError(f"it is damaged: a key without a value at byte {self.position}.")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[plain_key(key)] = value

    def name(self, module: Any, name: Any) -> None:
        """Push a name, if the file may use it."""
        if not all(isinstance(p, str) and len(p) < 200 and re.fullmatch(_IDENTIFIER, p) for p in (module, name)):
            raise WeightsError(f"it refers to {_shown(module)} {_shown(name)}, which is no name of a class.")
        value = Global(module, name)
        self.names.check(value)
        self.push(value)

    def reduce(self) -> None:
        """A call, which is only looked up."""
        arguments, name = self.pop(), self.pop()
        self.push(self.names.call(*_name_and_arguments(name, arguments)))

    def new(self) -> None:
        """An object, of which only the name of the class is kept."""
        arguments, name = self.pop(), self.pop()
        self.push(self.names.new(*_name_and_arguments(name, arguments)))

    def build(self) -> None:
        """A state for the object on top."""
        state = self.pop()
        self.names.build(self.top(object), state)

    def protocol(self) -> None:
        """The header of a pickle."""
        version = self.number("<B")
        if not 2 <= version <= 5:
            raise WeightsError(f"its pickle protocol is {version}; weights files have 2 to 5.")

    def pop_any(self) -> None:
        """Drop a value or a mark."""
        if self.marks and len(self.stack) == self.marks[-1]:
            self.marks.pop()
        else:
            self.pop()

    def append(self, values: list[Any]) -> None:
        """Values onto the list on top."""
        self.top(list).extend(values)

    def stack_name(self) -> None:
        """A name from two strings of the stack."""
        name, module = self.pop(), self.pop()
        self.name(module, name)

    def set_item(self) -> None:
        """One key and value into the dict on top."""
        value, key = self.pop(), self.pop()
        self.set_items([key, value])


def _name_and_arguments(name: Any, arguments: Any) -> tuple[Global, tuple[Any, ...]]:
    """Both, checked."""
    if not isinstance(name, Global) or not isinstance(arguments, tuple):
        raise WeightsError("it calls something that is not a name. Do not trust this file.")
    return name, arguments


def _refused(verb: str, name: Global) -> WeightsError:
    """The error about a name: Python's own functions are what attacks are made of, other classes are only unknown."""
    module = name.module.split(".")[0]
    known = module in sys.stdlib_module_names or module in ("__builtin__", "nt", "posix")
    if "." not in name.name and (module in _HARMLESS or not known):  # a dot leads into a class or a module
        return WeightsError(f"it holds an object of {name.path}, which this reader does not take. Save it without.")
    return WeightsError(f"it {verb} {name.path}, which no weights file needs. Do not trust this file.")


def _is_state(state: Any) -> bool:
    return isinstance(state, dict) and all(isinstance(key, str) for key in state)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise WeightsError("it is damaged: a text is not text.") from error


def _shown(value: Any) -> str:
    """The beginning of a text; of anything else the kind, because writing it out may never end."""
    return repr(value[:40]) if isinstance(value, str) else f"({type(value).__name__})"


def plain_key(key: Any) -> Any:
    """A key of a dict or a set, if it is simple (hashing deep values can exhaust the stack)."""
    flat = key if isinstance(key, tuple) and len(key) <= 8 else (key,)
    if not all(part is None or isinstance(part, (str, int, float, bytes)) for part in flat):
        raise WeightsError("it has a dict whose keys are not plain values. Do not trust this file.")
    if isinstance(key, tuple) and sum(len(part) for part in key if isinstance(part, str | bytes)) > MAX_KEY_TEXT:
        raise WeightsError("it has a dict whose keys are long texts. Do not trust this file.")
    return key


_Operation = Callable[[PickleMachine], None]
_OPERATIONS: dict[bytes, _Operation] = {
    b"\x80": PickleMachine.protocol,
    b"\x95": lambda m: m.claim(m.number("<Q")),
    b"(": lambda m: m.marks.append(len(m.stack)),
    b"0": PickleMachine.pop_any,
    b"1": lambda m: m.since_mark().clear(),
    b"\x94": lambda m: m.put(len(m.memo)),
    b"q": lambda m: m.put(m.number("<B")),
    b"r": lambda m: m.put(m.number("<I")),
    b"h": lambda m: m.get(m.number("<B")),
    b"j": lambda m: m.get(m.number("<I")),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"J": lambda m: m.push(m.number("<i")),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"\x8a": lambda m: m.push(int.from_bytes(m.read(m.number("<B")), "little", signed=True)),
    b"G": lambda m: m.push(m.number(">d")),
    b"\x8c": lambda m: m.push_text(m.number("<B")),
    b"X": lambda m: m.push_text(m.number("<I")),
    b"\x8d": lambda m: m.push_text(m.number("<Q")),
    b"C": lambda m: m.push_bytes(m.number("<B")),
    b"B": lambda m: m.push_bytes(m.number("<I")),
    b"\x8e": lambda m: m.push_bytes(m.number("<Q")),
    b"]": lambda m: m.push([]),
    b"a": lambda m: m.append([m.pop()]),
    b"e": lambda m: m.append(m.since_mark()),
    b"l": lambda m: m.push(m.since_mark()),
    b")": lambda m: m.push(()),
    b"\x85": lambda m: m.push_tuple(1),
    b"\x86": lambda m: m.push_tuple(2),
    b"\x87": lambda m: m.push_tuple(3),
    b"t": lambda m: m.push((*m.since_mark(),)),
    b"}": lambda m: m.push({}),
    b"s": PickleMachine.set_item,
    b"u": lambda m: m.set_items(m.since_mark()),
    b"\x8f": lambda m: m.push(set()),
    b"\x90": lambda m: m.top(set).update([plain_key(value) for value in m.since_mark()]),
    b"\x91": lambda m: m.push(frozenset(plain_key(value) for value in m.since_mark())),
    b"c": lambda m: m.name(m.line(), m.line()),
    b"\x93": PickleMachine.stack_name,
    b"R": PickleMachine.reduce,
    b"\x81": PickleMachine.new,
    b"b": PickleMachine.build,
    b"Q": lambda m: m.push(m.names.persistent(m.pop())),
}
