"""The catalogue of known files: consistent, and honest about what is not known."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlsplit

import pytest

from threedpsp.errors import WeightsError
from threedpsp.weights.catalogue import CATALOGUE, EMBEDDED, Entry, entry_named, find_entry
from threedpsp.weights.search import locate

IDS = {"argvalues": CATALOGUE, "ids": lambda entry: entry.name}


def test_names_and_files_are_unique():
    names = [entry.name for entry in CATALOGUE]
    files = [entry.file.lower() for entry in CATALOGUE]
    assert len(set(names)) == len(names) and len(set(files)) == len(files)
    assert not set(names) & set(EMBEDDED)


@pytest.mark.parametrize("entry", **IDS)
def test_names_lead_out_of_no_folder(entry: Entry):
    for name in (entry.name, entry.file):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) and ".." not in name
    if entry.published_folder is not None:
        assert not entry.published_folder.startswith("/") and ".." not in entry.published_folder.split("/")


@pytest.mark.parametrize("entry", **IDS)
def test_every_file_says_what_for_and_from_where(entry: Entry):
    assert entry.purpose and entry.licence
    for address in filter(None, (entry.page, entry.url)):
        assert urlsplit(address).scheme == "https" and urlsplit(address).hostname
    assert entry.url or entry.package or entry.page
    assert (entry.home == "package") == (entry.package is not None and entry.url is None)


@pytest.mark.parametrize("entry", **IDS)
def test_figures_are_figures(entry: Entry):
    assert entry.sha256 is None or re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{64}", entry.sha256)
    assert entry.size is None or entry.size > 1_000_000
    assert entry.size is None or entry.about_size is None


def test_encoders_and_generators_name_each_other():
    for entry in CATALOGUE:
        if entry.generator is not None:
            assert entry_named(entry.generator).kind == "eg3d-generator"
        if entry.encoder is not None:
            assert entry_named(entry.encoder).generator == entry.name


@pytest.mark.parametrize("name", ["3dpsp", "3DpSp.pt", "3DPSP.PT", "3DpSp"])
def test_entries_are_found_by_name_and_file(name: str):
    assert entry_named(name).file == "3DpSp.pt"


def test_unknown_name_lists_the_known_ones():
    assert find_entry("nothing") is None
    with pytest.raises(WeightsError, match="Known names: ffhqrebalanced512-128, "):
        entry_named("nothing")


@pytest.mark.parametrize("name", ["face-landmarker", "dlib-identity"])
def test_figures_of_files_in_packages_are_right(name: str):
    """Those that can be checked here, against the real files."""
    entry = entry_named(name)
    path = locate(entry)
    if path is None:
        pytest.skip(f"{entry.package} is not installed")
    assert path.stat().st_size == entry.size
    if entry.sha256 is not None:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256
