"""Every node, input and output is explained: tooltips, help pages with pictures, English and Chinese locales."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.nodes.comfy_stand_in.install import PACK, loaded_pack, schemas_of
from tests.nodes.make_locales import HEADINGS, as_json, english, locale_path, page_path, tables, with_tables

LANGUAGES = ["en", "zh"]
WRITE_ANEW = "run: python -m tests.nodes.make_locales"


def keys(texts: Any, path: str = "") -> set[str]:
    if not isinstance(texts, dict):
        return {path}
    return {key for name, below in texts.items() for key in keys(below, f"{path}/{name}")}


def locale(language: str) -> dict[str, Any]:
    return json.loads(locale_path(language).read_text(encoding="utf-8"))


def test_every_input_and_output_has_a_tooltip(schemas: dict[str, Any]):
    sockets = [(n, socket) for n, schema in schemas.items() for socket in (*schema.inputs, *schema.outputs)]
    assert len(sockets) > 80
    assert not [f"{node_id}.{socket.id}" for node_id, socket in sockets if not (socket.tooltip or "").strip()]


def test_every_node_says_what_it_does(schemas: dict[str, Any]):
    for node_id, schema in schemas.items():
        assert node_id.startswith("ThreeDpSp")
        assert schema.display_name.startswith("3DpSp ")
        assert schema.description.endswith("."), node_id
        assert schema.category == "3DpSp"


def test_english_locale_is_that_of_the_schemas(schemas: dict[str, Any]):
    assert locale_path("en").read_text(encoding="utf-8") == as_json(english(schemas)), WRITE_ANEW


def test_chinese_locale_has_the_keys_of_the_english_one():
    assert keys(locale("zh")) == keys(locale("en"))


def test_chinese_texts_are_chinese():
    for node_id, texts in locale("zh").items():
        described = [texts["description"], *(text["tooltip"] for text in texts["inputs"].values())]
        assert all(re.search("[\u4e00-\u9fff]", text) for text in described), node_id


@pytest.mark.parametrize("language", LANGUAGES)
def test_help_pages_have_the_tables_of_the_schemas(schemas: dict[str, Any], language: str):
    texts = locale(language)
    for node_id, schema in schemas.items():
        page = page_path(node_id, language).read_text(encoding="utf-8")
        assert page == with_tables(page, tables(schema, texts[node_id], language), language), WRITE_ANEW


@pytest.mark.parametrize("language", LANGUAGES)
def test_help_pages_are_complete(schemas: dict[str, Any], language: str):
    for node_id, schema in schemas.items():
        page = page_path(node_id, language).read_text(encoding="utf-8")
        assert page.startswith(f"# {locale(language)[node_id]['display_name']}\n")
        assert len(re.findall("^## ", page, flags=re.M)) == len(HEADINGS[language]) + 2, node_id
        for socket in schema.inputs:
            assert f"`{socket.id}`" in page, f"{node_id}.{socket.id}"
        for socket in schema.outputs:
            assert f"`{socket.display_name}`" in page, f"{node_id}.{socket.id}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_pictures_of_help_pages_are_small_and_there(schemas: dict[str, Any], language: str):
    for node_id in schemas:
        named = re.findall(r"!\[[^]]*\]\(([^)]*)\)", page_path(node_id, language).read_text(encoding="utf-8"))
        assert named == [f"images/{node_id}.jpg"]  # from web/docs, in every language: both frontends resolve it so
        picture = PACK / "web" / "docs" / named[0]
        assert picture.stat().st_size < 60_000
        with Image.open(picture) as opened:
            assert opened.width >= 256


def test_no_help_page_is_left_of_a_node_that_is_gone(schemas: dict[str, Any]):
    docs = PACK / "web" / "docs"
    assert {path.stem for path in docs.glob("*.md")} == set(schemas)
    assert {path.parent.name for path in docs.glob("*/*.md")} == set(schemas)


def test_search_aliases_go_only_where_schemas_know_them(tmp_path: Path, schemas: dict[str, Any]):
    assert all(len(schema.search_aliases) >= 2 for schema in schemas.values())
    with loaded_pack(tmp_path, newer=False) as pack:
        assert len(schemas_of(pack)) == len(schemas)


def test_landmarks_are_accepted_only_where_comfyui_makes_them(tmp_path: Path, schemas: dict[str, Any]):
    assert "landmarks" in {socket.id for socket in schemas["ThreeDpSpAlign"].inputs}
    with loaded_pack(tmp_path, core_nodes=()) as pack:
        assert "landmarks" not in {socket.id for socket in schemas_of(pack)["ThreeDpSpAlign"].inputs}
