"""Downloads against a small server in a thread: resuming, checking, and what is left behind when something is wrong."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from threedpsp.errors import OutputError, WeightsError
from threedpsp.weights import download as module
from threedpsp.weights.catalogue import Entry
from threedpsp.weights.download import check_file, download

DATA = np.random.default_rng(0).integers(0, 256, 3_000_000, dtype=np.uint8).tobytes()
SHA = hashlib.sha256(DATA).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves the server's `files`; `break_after` and `etag` shape its answers; every request is noted in `asked`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        settings = self.server.settings
        settings.asked.append((self.path, self.headers.get("Range")))
        if self.path in settings.redirects:
            self.send_response(302)
            self.send_header("Location", settings.redirects[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path not in settings.files:
            self.send_error(404)
            return
        body, start = settings.files[self.path], 0
        wanted = self.headers.get("Range")
        if wanted and settings.ranges and self.headers.get("If-Range") == settings.etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Type", settings.content_type)
        if settings.etag:
            self.send_header("ETag", settings.etag)
        if settings.length:
            self.send_header("Content-Length", str(len(body) - start))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        end = len(body) if settings.break_after is None else start + settings.break_after
        self.wfile.write(body[start:end])
        self.close_connection = end < len(body) or not settings.length

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def server() -> Iterator[SimpleNamespace]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    settings = SimpleNamespace(
        files={"/w.pkl": DATA},
        redirects={},
        asked=[],
        ranges=True,
        etag='"one"',
        length=True,
        break_after=None,
        content_type="application/octet-stream",
        url=f"http://127.0.0.1:{http.server_port}",
    )
    http.settings = settings
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield settings
    http.shutdown()
    http.server_close()
    thread.join()


def entry(server: SimpleNamespace, path: str = "/w.pkl", **changes: object) -> Entry:
    made = Entry("w", "w.pkl", "tests", "none", "https://example.org/w", url=server.url + path, sha256=SHA)
    return dataclasses.replace(made, **changes)


def fetch(item: Entry, folder: Path, **options: object) -> module.Downloaded:
    return download(item, folder, http_on_localhost=True, **options)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_arrives_whole_and_checked(server: SimpleNamespace, tmp_path: Path):
    seen: list[tuple[int, int | None]] = []
    done = fetch(entry(server), tmp_path / "new" / "folder", on_progress=lambda *at: seen.append(at))
    assert done.path.read_bytes() == DATA
    assert names(done.path.parent) == ["w.pkl"]
    assert seen[-1] == (len(DATA), len(DATA)) and len(seen) == 3
    assert f"sha256: {SHA}, as expected" in done.facts


def test_broken_download_goes_on_where_it_stopped(server: SimpleNamespace, tmp_path: Path):
    server.break_after = 1_200_000
    with pytest.raises(WeightsError, match="after 1,200,000 of 3,000,000 bytes.*goes on from there"):
        fetch(entry(server), tmp_path)
    assert names(tmp_path) == ["w.pkl.part", "w.pkl.part.json"]
    server.break_after = None
    assert fetch(entry(server), tmp_path).path.read_bytes() == DATA
    assert server.asked == [("/w.pkl", None), ("/w.pkl", "bytes=1200000-")]
    assert names(tmp_path) == ["w.pkl"]


@pytest.mark.parametrize("change", ["another file", "no ranges", "no etag", "no note", "another address"])
def test_part_of_another_file_is_not_continued(server: SimpleNamespace, tmp_path: Path, change: str):
    server.break_after = 1_000_000
    server.etag = "" if change == "no etag" else '"one"'
    with pytest.raises(WeightsError, match="broke off"):
        fetch(entry(server, sha256=None), tmp_path)
    server.break_after = None
    path, data = "/w.pkl", DATA
    if change == "another file":
        data, server.etag = DATA[::-1], '"two"'
    elif change == "no ranges":
        server.ranges = False
    elif change == "no note":
        (tmp_path / "w.pkl.part.json").unlink()
    elif change == "another address":
        path, data = "/other.pkl", DATA[::-1]
    server.files[path] = data
    assert fetch(entry(server, path, sha256=None), tmp_path).path.read_bytes() == data


def test_part_that_is_whole_already_is_fetched_again(server: SimpleNamespace, tmp_path: Path):
    server.break_after = 1_000_000
    with pytest.raises(WeightsError):
        fetch(entry(server), tmp_path)
    (tmp_path / "w.pkl.part").write_bytes(DATA)
    server.break_after = None
    assert fetch(entry(server), tmp_path).path.read_bytes() == DATA
    assert [asked for _, asked in server.asked] == [None, "bytes=3000000-", None]


def test_wrong_checksum_keeps_nothing(server: SimpleNamespace, tmp_path: Path):
    server.files["/w.pkl"] = b"poisoned" + DATA[8:]
    with pytest.raises(WeightsError, match="another checksum than expected"):
        fetch(entry(server), tmp_path)
    assert names(tmp_path) == []


def test_wrong_checksum_leaves_the_old_file(server: SimpleNamespace, tmp_path: Path):
    (tmp_path / "w.pkl").write_bytes(b"old")
    server.files["/w.pkl"] = DATA[:-1]
    with pytest.raises(WeightsError):
        fetch(entry(server), tmp_path)
    assert (tmp_path / "w.pkl").read_bytes() == b"old"


def test_wrong_size_keeps_nothing(server: SimpleNamespace, tmp_path: Path):
    with pytest.raises(WeightsError, match="3,000,000 bytes; 5 are expected"):
        fetch(entry(server, sha256=None, size=5), tmp_path)
    assert names(tmp_path) == []


def test_first_digits_of_a_checksum_are_checked(server: SimpleNamespace, tmp_path: Path):
    done = fetch(entry(server, sha256=SHA[:8]), tmp_path)
    assert any(f"begins as expected ({SHA[:8]})" in fact for fact in done.facts)


def test_unknown_figures_are_called_unknown(server: SimpleNamespace, tmp_path: Path):
    size, sha = fetch(entry(server, sha256=None), tmp_path).facts
    assert "the right size is not known" in size and SHA in sha and "the right one is not known" in sha


def test_length_that_the_server_does_not_give_is_done_without(server: SimpleNamespace, tmp_path: Path):
    server.length = False
    assert fetch(entry(server), tmp_path).path.read_bytes() == DATA


def test_file_inside_an_archive_is_taken_out(server: SimpleNamespace, tmp_path: Path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../elsewhere/model/w.pth", DATA)
        archive.writestr("model/readme.txt", "hello")
    server.files["/w.zip"] = packed.getvalue()
    done = fetch(entry(server, "/w.zip", archive_member="w.pth"), tmp_path / "in")
    assert done.path.read_bytes() == DATA
    assert names(tmp_path / "in") == ["w.pkl"] and names(tmp_path) == ["in"]


@pytest.mark.parametrize("content", [b"no archive", b"PK\x05\x06" + bytes(18)])
def test_archive_without_the_file_keeps_nothing(server: SimpleNamespace, tmp_path: Path, content: bytes):
    server.files["/w.zip"] = content
    with pytest.raises(WeightsError, match="archive"):
        fetch(entry(server, "/w.zip", archive_member="w.pth"), tmp_path)
    assert names(tmp_path) == []


def test_missing_file_is_explained(server: SimpleNamespace, tmp_path: Path):
    with pytest.raises(WeightsError, match=r"no file at .*/gone.pkl any more \(404\)"):
        fetch(entry(server, "/gone.pkl"), tmp_path)
    assert names(tmp_path) == []


def test_web_page_in_place_of_the_file_is_explained(server: SimpleNamespace, tmp_path: Path):
    server.content_type = "text/html; charset=utf-8"
    with pytest.raises(WeightsError, match="leads to a web page"):
        fetch(entry(server), tmp_path)
    assert names(tmp_path) == []


def test_no_network_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("http_proxy", raising=False)
    dead = SimpleNamespace(url="http://127.0.0.1:1")
    with pytest.raises(WeightsError, match="127.0.0.1 cannot be reached.*Check the network"):
        fetch(entry(dead), tmp_path)


def test_redirects_are_followed_to_the_file(server: SimpleNamespace, tmp_path: Path):
    server.redirects["/old"] = f"{server.url}/w.pkl"
    assert fetch(entry(server, "/old"), tmp_path).path.read_bytes() == DATA


@pytest.mark.parametrize("target", ["http://example.org/w.pkl", "ftp://example.org/w.pkl", "file:///etc/passwd"])
def test_redirects_to_anything_but_https_are_refused(server: SimpleNamespace, tmp_path: Path, target: str):
    server.redirects["/old"] = target
    with pytest.raises(WeightsError, match="Only https is used"):
        fetch(entry(server, "/old"), tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("url", ["http://example.org/w", "ftp://example.org/w", "file:///etc/passwd", "/etc/passwd"])
def test_only_https_addresses_are_used(tmp_path: Path, url: str):
    item = Entry("w", "w.pkl", "tests", "none", "https://example.org/w", url=url)
    for local in (False, True):
        with pytest.raises(WeightsError, match="Only https is used"):
            download(item, tmp_path, http_on_localhost=local)


def test_http_on_this_machine_is_refused_outside_tests(server: SimpleNamespace, tmp_path: Path):
    with pytest.raises(WeightsError, match="Only https is used"):
        download(entry(server), tmp_path)
    assert not server.asked


def test_file_without_an_address_says_where_it_is(tmp_path: Path):
    with pytest.raises(WeightsError, match=r"Get it from https://example.org/w"):
        download(Entry("w", "w.pkl", "tests", "none", "https://example.org/w"), tmp_path)


def test_too_little_room_is_said_before_the_download(
    server: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(OutputError, match="Not enough room for 3,000,000 bytes.*1,000 are free"):
        fetch(entry(server), tmp_path)
    assert names(tmp_path) == []


def test_disk_that_fills_up_is_explained(server: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OutputError, match="the disk is full"):
        fetch(entry(server), tmp_path)
    assert "w.pkl" not in names(tmp_path)


def test_second_download_of_the_same_file_is_refused(server: SimpleNamespace, tmp_path: Path):
    fcntl = pytest.importorskip("fcntl")
    with open(tmp_path / "w.pkl.part", "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(WeightsError, match="Another download"):
            fetch(entry(server), tmp_path)


def test_file_on_disk_can_be_checked_alone(tmp_path: Path):
    (tmp_path / "w.pkl").write_bytes(DATA)
    item = Entry("w", "w.pkl", "tests", "none", "https://example.org/w", sha256=SHA)
    assert check_file(item, tmp_path / "w.pkl")[1].endswith("as expected")
