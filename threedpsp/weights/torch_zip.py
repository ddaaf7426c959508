"""The directory of a torch zip file, checked: stored entries, inside the file, not overlapping, with plain names."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass

from ..errors import WeightsError
from .pickle_machine import BinaryFile

MAX_GAP = 1024  # bytes between two entries; torch puts what aligns them into the entries
MAX_DIRECTORY = 16 << 20  # bytes; 100,000 tensors take about 10 MB
_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCAL = struct.Struct("<4s5H3L2H")


@dataclass(frozen=True)
class ZipEntry:
    """Where the bytes of an entry are in the file."""

    start: int
    length: int


def read_directory(file: BinaryFile, size: int) -> dict[str, ZipEntry]:
    """All entries by name.

    Raises:
        WeightsError: damaged, compressed, or made to deceive (sizes or places that cannot be true).
    """
    directory, claimed = _directory(file, size)
    if claimed > MAX_DIRECTORY:
        raise WeightsError(f"its zip directory claims more than {MAX_DIRECTORY:,} bytes; torch writes less.")
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, struct.error) as error:
        raise WeightsError(f"its zip directory is cut off or damaged ({error}). Copy or download it again.") from error
    entries: dict[str, ZipEntry] = {}
    lowered: set[str] = set()  # torch's reader does not tell a from A
    taken = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        name = info.filename
        if name.lower() in lowered or name != info.orig_filename:
            raise WeightsError(f"its zip directory names {name[:60]!r} twice. Do not trust this file.")
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise WeightsError(f"its zip directory has the name {name[:60]!r}, which leads out of it. Do not trust it.")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 1:
            raise WeightsError(
                f"its entry {name[:60]!r} is compressed ({info.compress_size:,} bytes claim to be {info.file_size:,}); "
                "torch stores weights uncompressed. Do not trust this file."
            )
        entry = _place(file, size, info)
        if info.header_offset > taken + MAX_GAP:
            raise WeightsError(
                f"{info.header_offset - taken:,} bytes before its zip entry {name[:60]!r} belong to nothing. "
                "Do not trust this file."
            )
        if info.header_offset < taken:
            raise WeightsError(f"its zip entries overlap at {name[:60]!r}. Do not trust this file.")
        taken = entry.start + entry.length
        entries[name] = entry
        lowered.add(name.lower())
    if directory > taken + MAX_GAP:
        raise WeightsError(f"{directory - taken:,} bytes before its zip directory belong to nothing. Do not trust it.")
    return entries


def _place(file: BinaryFile, size: int, info: zipfile.ZipInfo) -> ZipEntry:
    """Where an entry's bytes are, from its local header."""
    file.seek(info.header_offset)
    head = file.read(_LOCAL.size)
    fields = _LOCAL.unpack(head) if len(head) == _LOCAL.size else (b"",)
    if fields[0] != b"PK\x03\x04":
        raise WeightsError(f"its zip entry {info.filename[:60]!r} is not where the directory says. Copy it again.")
    start = info.header_offset + _LOCAL.size + fields[9] + fields[10]
    if start + info.file_size > size:
        raise WeightsError(
            f"its zip entry {info.filename[:60]!r} claims {info.file_size:,} bytes, which the file does not have; "
            "it is cut off or damaged. Copy or download it again."
        )
    return ZipEntry(start, info.file_size)


def _directory(file: BinaryFile, size: int) -> tuple[int, int]:
    """Where the zip directory begins, and the bytes that it claims, before anything reads it.

    Readers differ in which of the two ends of a directory they believe, and in whether something may stand before the
    archive. Here both ends must say the same, and the directory must end where they begin.
    """
    start = max(0, size - _END.size - 0xFFFF)
    file.seek(start)
    tail = file.read(size - start)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise WeightsError("it ends before its zip directory; it is cut off. Copy or download it again.")
    claimed, offset = _END.unpack_from(tail, at)[5:7]
    end = start + at
    locator_at = end - _END64_LOCATOR.size
    file.seek(max(0, locator_at))
    locator = file.read(_END64_LOCATOR.size)
    if locator_at >= 0 and locator[:4] == b"PK\x06\x07":
        end = locator_at - _END64.size
        file.seek(max(0, end))
        end64 = file.read(_END64.size)
        if _END64_LOCATOR.unpack(locator)[2] != end or end64[:4] != b"PK\x06\x06":
            raise WeightsError("its zip directory is damaged. Copy or download it again.")
        large = _END64.unpack(end64)[8:10]
        if any(n not in (n64, 0xFFFFFFFF) for n, n64 in zip((claimed, offset), large, strict=True)):
            raise WeightsError("its zip archive describes two directories. Do not trust this file.")
        claimed, offset = large
    if offset + claimed != end:
        raise WeightsError("its zip directory is not where it should be; the file is damaged. Copy it again.")
    return int(offset), int(claimed)
