"""Fetches a weights file over https: resumed where it stopped, checked where figures are known, whole or not there."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import urllib.error
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from ..errors import OutputError, WeightsError
from ..output import output_error
from ..version import version
from .catalogue import Entry

CHUNK = 1 << 20  # bytes
TIMEOUT = 30.0  # seconds without an answer
KEPT_FREE = 64 << 20  # bytes of the disk that a download leaves alone
LOCALHOST = {"localhost", "127.0.0.1", "::1"}

DownloadProgress = Callable[[int, int | None], None]
"""Called with the bytes there are and the bytes there will be (None: not known)."""


@dataclass(frozen=True)
class Downloaded:
    """path: the file. facts: what was checked and what could not be, one line each."""

    path: Path
    facts: tuple[str, ...]


def download(
    entry: Entry,
    folder: str | Path,
    *,
    on_progress: DownloadProgress | None = None,
    http_on_localhost: bool = False,
) -> Downloaded:
    """Fetch a file of the catalogue into a folder.

    What has arrived is kept as `NAME.part`; the next call goes on from there if the server still has the same file.
    Only a whole, checked file takes its name. An address that is an archive is opened, and the one file taken out.

    Args:
        entry: what to fetch; it must have a `url`.
        folder: where to; made if needed.
        on_progress: called after every mebibyte.
        http_on_localhost: for tests: allows http, from and to this machine only.

    Raises:
        WeightsError: no address, no network, the server has no such file, the download broke off, or the file is not
            the expected one (then nothing of it is kept).
        OutputError: the file cannot be written (permissions, full disk).
    """
    if entry.url is None:
        raise WeightsError(f"{entry.file} has no address that a program can fetch. Get it from {entry.page}.")
    folder = Path(folder)
    target = folder / entry.file
    fetched = target if entry.archive_member is None else target.with_name(f"{entry.file}.zip")
    part = fetched.with_name(f"{fetched.name}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        announced = _Transfer(entry.url, part, on_progress, http_on_localhost).run()
        whole = part
        if entry.archive_member is not None:
            whole = target.with_name(f"{entry.file}.unpacked")
            _take_out(part, entry.archive_member, whole)
        facts = check_file(entry, whole, announced)
        os.replace(whole, target)
        _forget(part)
    except WrongFileError:
        _forget(part)
        raise
    except OSError as error:
        raise output_error(error.filename or part, error) from error
    finally:
        target.with_name(f"{entry.file}.unpacked").unlink(missing_ok=True)
    return Downloaded(target, facts)


class WrongFileError(WeightsError):
    """What arrived is not the expected file."""


def check_file(entry: Entry, path: Path, announced: int | None = None) -> tuple[str, ...]:
    """Compares a file with what is known of it.

    Args:
        entry: what is known.
        path: the file.
        announced: the size that the server gave, which the download was compared with already.

    Returns:
        What was checked and what could not be, one line each.

    Raises:
        WrongFileError: the checksum, or the size where no checksum is known, is another one.
    """
    size = path.stat().st_size
    digest = file_sha256(path)
    if entry.sha256 is not None:
        if not digest.startswith(entry.sha256):
            raise WrongFileError(
                f"{path.name} has another checksum than expected (sha256 {digest}, expected {entry.sha256}"
                f"{'...' if len(entry.sha256) < 64 else ''}; {size:,} bytes). Fetch it again; nothing was kept."
            )
        known = "as expected" if len(entry.sha256) == 64 else f"begins as expected ({entry.sha256})"
        return (f"size: {size:,} bytes", f"sha256: {digest}, {known}")
    if entry.size is not None and size != entry.size:
        raise WrongFileError(
            f"{path.name} has {size:,} bytes; {entry.size:,} are expected. Fetch it again; nothing was kept."
        )
    if entry.size is not None:
        known = "as expected"
    elif announced is not None and entry.archive_member is None:
        known = "as the server announced; the right size is not known to us"
    else:
        known = "the right size is not known to us"
    return (f"size: {size:,} bytes, {known}", f"sha256: {digest}; the right one is not known to us")


def file_sha256(path: Path) -> str:
    """Checksum of a file, lower-case hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


class _HttpsOnly(HTTPRedirectHandler):
    """Follows redirects, but to https alone."""

    def __init__(self, http_on_localhost: bool) -> None:
        self._http_on_localhost = http_on_localhost

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        """Refuses addresses that are not https."""
        _check_address(newurl, self._http_on_localhost)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Transfer:
    """One address into one .part file."""

    def __init__(self, url: str, part: Path, on_progress: DownloadProgress | None, http_on_localhost: bool) -> None:
        _check_address(url, http_on_localhost)
        self._url, self._part = url, part
        self._on_progress = on_progress or _quiet
        self._same_if = ""
        self._opener = build_opener(_HttpsOnly(http_on_localhost))

    def run(self) -> int | None:
        """Fetches until the .part file is whole; returns the size that the server gave."""
        have = self._resumable()
        with self._open(have) as response:
            if response.status == 206 and _range_start(response.headers) == have:
                total = _range_total(response.headers)
            else:
                have, total = 0, _length(response.headers)
            self._refuse_web_page(response.headers)
            self._check_room(have, total)
            have = self._copy(response, have, total)
        if total is not None and have > total:
            raise WrongFileError(f"{self._host} sent more than it announced ({have:,} of {total:,} bytes). Try again.")
        if total is not None and have < total:
            raise WeightsError(
                f"The download of {self._url} broke off after {have:,} of {total:,} bytes. "
                "What has arrived is kept: the same command goes on from there."
            )
        return total

    @property
    def _host(self) -> str:
        return urlsplit(self._url).hostname or self._url

    def _resumable(self) -> int:
        """Bytes that are there of the same address; 0 where that is not certain."""
        try:
            note = json.loads(_note(self._part).read_text(encoding="utf-8"))
            size = self._part.stat().st_size
        except (OSError, ValueError):
            return 0
        known = isinstance(note, dict) and note.get("url") == self._url and isinstance(note.get("same_if"), str)
        self._same_if = note["same_if"] if known else ""
        return size if known and self._same_if else 0

    def _open(self, have: int) -> Any:
        """The server's answer, to the rest of the file where `have` bytes are there."""
        headers = {"User-Agent": f"threedpsp/{version()}", "Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": self._same_if}
        try:
            return self._opener.open(Request(self._url, headers=headers), timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and have:  # the part is as long as the file, or longer: begin again
                _forget(self._part)
                return self._open(0)
            raise WeightsError(_http_problem(self._url, error.code, error.reason)) from error
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            reason = getattr(error, "reason", None) or error
            raise WeightsError(
                f"{self._host} cannot be reached ({reason}). Check the network (and the proxy, if there is one), or "
                f"fetch {self._url} with a browser and put the file into {self._part.parent}."
            ) from error

    def _copy(self, response: Any, have: int, total: int | None) -> int:
        """Appends to the .part file; returns its length."""
        with open(self._part, "ab") as file:
            self._lock(file)
            file.truncate(have)
            _note(self._part).write_text(json.dumps(self._identity(response.headers)), encoding="utf-8")
            while total is None or have <= total:
                try:
                    block = response.read(CHUNK)
                except (OSError, http.client.HTTPException) as error:
                    raise WeightsError(
                        f"The connection to {self._host} broke after {have:,} bytes ({error}). "
                        "What has arrived is kept: the same command goes on from there."
                    ) from error
                if not block:
                    break
                file.write(block)
                have += len(block)
                self._on_progress(have, total)
            file.flush()
            os.fsync(file.fileno())
        return have

    def _lock(self, file: IO[bytes]) -> None:
        """Keeps a second download of the same file out; where the system has no such locks, it is not noticed."""
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WeightsError(f"Another download to {self._part} is running. Wait for it.") from error

    def _check_room(self, have: int, total: int | None) -> None:
        if total is not None:
            _need_room(self._part.parent, total - have)

    def _refuse_web_page(self, headers: Message) -> None:
        if headers.get_content_type() in ("text/html", "application/xhtml+xml"):
            raise WeightsError(
                f"{self._url} leads to a web page, not to the file; it may have moved. Open the address in a browser, "
                f"and put the file into {self._part.parent}."
            )

    def _identity(self, headers: Message) -> dict[str, str]:
        """What tells later whether the server still has the same file (If-Range takes a strong ETag, or a date)."""
        tag = headers.get("ETag", "")
        same_if = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
        return {"url": self._url, "same_if": same_if}


def _check_address(url: str, http_on_localhost: bool) -> None:
    parts = urlsplit(url)
    local = http_on_localhost and parts.scheme == "http" and parts.hostname in LOCALHOST
    if parts.scheme != "https" and not local:
        raise WeightsError(f"Only https is used for downloads; this address is not: {url}")


def _http_problem(url: str, code: int, reason: str) -> str:
    if code in (404, 410):
        return f"There is no file at {url} any more ({code}). See 'threedpsp weights list' for the page it comes from."
    if code in (401, 403):
        return f"The server does not hand out {url} ({code} {reason}). Fetch it with a browser instead."
    if 300 <= code < 400:
        return f"Only https is used for downloads, and few redirects are followed: {url} ({code} {reason})."
    return f"The server answered {code} {reason} for {url}. Try again later."


def _length(headers: Message) -> int | None:
    text = headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _range_start(headers: Message) -> int | None:
    """First byte of the part that a 206 answer holds ("bytes 5-9/10" -> 5)."""
    text = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(text) if text.isascii() and text.isdigit() else None


def _range_total(headers: Message) -> int | None:
    """The size of the whole file, as an answer that holds only a part of it tells it: 10 for "bytes 5-9/10"."""
    text = headers.get("Content-Range", "").rpartition("/")[2]
    return int(text) if text.isascii() and text.isdigit() else None


def _take_out(archive: Path, member: str, target: Path) -> None:
    """The archive's one file whose name ends in `member`, as `target`; no other name of the archive is used."""
    try:
        with zipfile.ZipFile(archive) as opened:
            found = [item for item in opened.infolist() if item.filename.rpartition("/")[2] == member]
            if len(found) != 1:
                raise WrongFileError(f"The archive at hand holds {len(found)} files called {member}; one is expected.")
            _need_room(target.parent, found[0].file_size)
            with opened.open(found[0]) as source, open(target, "wb") as file:
                shutil.copyfileobj(source, file, CHUNK)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, RuntimeError, EOFError) as error:
        raise WrongFileError(f"What arrived is not a readable zip archive ({error}). Nothing was kept.") from error


def _need_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + KEPT_FREE:
        raise OutputError(
            f"Not enough room for {size:,} bytes in {folder}: {free:,} are free. "
            "Free some space, or choose a folder on another disk with --weights-dir."
        )


def _note(part: Path) -> Path:
    """The small file beside a .part that says where it comes from."""
    return part.with_name(f"{part.name}.json")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _quiet(done: int, total: int | None) -> None:
    """Reports nothing."""
