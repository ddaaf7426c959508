"""Writes locales/en/nodeDefs.json from the nodes' schemas, and the tables of the help pages from the locales.

Run it after changing a text of a node: `python -m tests.nodes.make_locales`. The Chinese texts are written by hand in
locales/zh/nodeDefs.json.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from tests.nodes.comfy_stand_in.install import PACK, loaded_pack, schemas_of

HEADINGS = {
    "en": {"inputs": ("Inputs", ("Input", "What it is", "Default, range")), "outputs": ("Outputs", ("Output", "What"))},
    "zh": {"inputs": ("输入", ("输入", "说明", "默认值与范围")), "outputs": ("输出", ("输出", "说明"))},
}
WORDS = {
    "en": {"optional": "optional", "choices": "one of", "to": "to", "empty": "none"},
    "zh": {"optional": "可选", "choices": "可选值", "to": "至", "empty": "无"},
}


def english(schemas: dict[str, Any]) -> dict[str, Any]:
    """The English texts of all nodes, as ComfyUI's locales are laid out."""
    return {node_id: _texts(schema) for node_id, schema in schemas.items()}


def _texts(schema: Any) -> dict[str, Any]:
    return {
        "display_name": schema.display_name,
        "description": schema.description,
        "inputs": {socket.id: {"name": socket.id, "tooltip": socket.tooltip} for socket in schema.inputs},
        "outputs": {
            str(index): {"name": socket.display_name or socket.id, "tooltip": socket.tooltip}
            for index, socket in enumerate(schema.outputs)
        },
    }


def tables(schema: Any, texts: dict[str, Any], language: str) -> dict[str, str]:
    """The tables of a help page: of inputs (with the ids that saved workflows use) and of outputs."""
    inputs = []
    for socket in schema.inputs:
        name = texts["inputs"][socket.id]["name"]
        label = f"`{socket.id}`" + (f" {name}" if name != socket.id else "")
        inputs.append((label, texts["inputs"][socket.id]["tooltip"], _range(socket, WORDS[language])))
    outputs = []
    for index, socket in enumerate(schema.outputs):
        shown = socket.display_name or socket.id
        name = texts["outputs"][str(index)]["name"]
        label = f"`{shown}`" + (f" {name}" if name != shown else "")
        outputs.append((label, texts["outputs"][str(index)]["tooltip"]))
    made = {}
    for part, rows in (("inputs", inputs), ("outputs", outputs)):
        heading, columns = HEADINGS[language][part]
        lines = [f"## {heading}", ""]
        if rows:
            lines += [_row(columns), _row(["---"] * len(columns)), *map(_row, rows)]
        else:
            lines.append(WORDS[language]["empty"])
        made[part] = "\n".join(lines) + "\n"
    return made


def with_tables(page: str, made: dict[str, str], language: str) -> str:
    """The page with its two tables written anew; what people wrote stays."""
    for part, table in made.items():
        heading = HEADINGS[language][part][0]
        page, count = re.subn(
            rf"^## {heading}\n.*?(?=^## |\Z)", lambda _, text=table: text + "\n", page, flags=re.M | re.S
        )
        if count != 1:
            raise ValueError(f"The help page must have one section '## {heading}'; it has {count}.")
    return page.rstrip() + "\n"


def _row(cells: Any) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _range(socket: Any, words: dict[str, str]) -> str:
    said = [words["optional"]] if socket.optional else []
    options = socket.options
    if socket.id in LISTED_FILES.get(socket.type_name, ()):
        options = {name: value for name, value in options.items() if name != "options"}
    if "options" in options:
        said.append(f"{words['choices']} " + ", ".join(f"`{option}`" for option in options["options"]))
    if "default" in options:
        default = json.dumps(options["default"], ensure_ascii=False).strip('"')
        said.append(f"`{default}`")
    if "min" in options:
        said.append(f"{options['min']} {words['to']} {options['max']}")
    return "; ".join(said)


LISTED_FILES = {"COMBO": ("generator", "encoder", "file")}
"""Combos that list the user's own files, which a help page cannot."""


def page_path(node_id: str, language: str) -> Path:
    """Where both frontends look: <id>/<language>.md, then <id>.md, which therefore is the English one."""
    docs = PACK / "web" / "docs"
    return docs / f"{node_id}.md" if language == "en" else docs / node_id / f"{language}.md"


def locale_path(language: str) -> Path:
    return PACK / "locales" / language / "nodeDefs.json"


def as_json(texts: dict[str, Any]) -> str:
    return json.dumps(texts, ensure_ascii=False, indent=2) + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, loaded_pack(Path(folder)) as pack:
        schemas = schemas_of(pack)
        locale_path("en").write_text(as_json(english(schemas)), encoding="utf-8")
        for language in HEADINGS:
            locale = json.loads(locale_path(language).read_text(encoding="utf-8"))
            for node_id, schema in schemas.items():
                page = page_path(node_id, language)
                if page.exists() and node_id in locale:
                    made = tables(schema, locale[node_id], language)
                    page.write_text(with_tables(page.read_text(encoding="utf-8"), made, language), encoding="utf-8")


if __name__ == "__main__":
    main()
