"""The report as files: JSON, CSV, Markdown, and one page with tables, plots and pictures that needs no network."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from PIL import Image
from torch import Tensor

from ..errors import MissingDependencyError
from ..export.images import enlarge, to_uint8
from ..output import atomic_write
from .measures import measure_of
from .plots import plots
from .report import EvaluationReport, column_name

SHOWN_SIDE = 128  # smaller pictures are enlarged to it
LARGEST_SIDE = 192  # larger ones are shrunk to it
_QUALITY = 88
_STYLE = Path(__file__).with_name("page.css")


def write_report(report: EvaluationReport, folder: Path) -> None:
    """Writes evaluation.json, .csv, .md and .html into the folder, each whole or not at all.

    Raises:
        OutputError: one cannot be written.
    """
    files = {
        "evaluation.json": json.dumps(report.to_dict(), indent=1, default=str) + "\n",
        "evaluation.csv": report.to_csv(),
        "evaluation.md": report.to_markdown() + "\n",
        "evaluation.html": page(report),
    }
    for name, text in files.items():
        with atomic_write(folder / name) as file:
            file.write_text(text, encoding="utf-8")


def page(report: EvaluationReport) -> str:
    """The whole page; pictures and plots are inside it."""
    names = ", ".join(method.name for method in report.methods)
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>Evaluation: {escape(names)}</title>',
        '<meta name="viewport" content="width=device-width">',
        f"<style>{_STYLE.read_text(encoding='utf-8')}</style></head><body>",
        f"<h1>Evaluation: {escape(names)}</h1>",
        f'<p class="lead">{len(report.measured)} photos measured, {len(report.failed)} failed. Mean, and in brackets '
        "its 95 % interval over the photos; the best mean of a row is bold. Arrows point to the better.</p>",
        _table(report.main_table()),
        _plots(report),
        _pictures(report),
    ]
    if len(report.columns) > 1:
        first = column_name(report.columns[0], report.columns)
        parts += [
            f"<h2>Each method minus {escape(first)}, on the same photos</h2>",
            '<p class="lead">Bold: the 95 % interval of the mean difference does not contain zero.</p>',
            _table(report.difference_table()),
        ]
    seeds = report.seed_table()
    if seeds:
        parts += ["<h2>Means of each seed</h2>", _table(seeds)]
    if report.failed:
        failed = "".join(f"<li>{escape(photo)}: {escape(error)}</li>" for photo, error in report.failed.items())
        parts += [f'<h2>Failed</h2><ul class="failed">{failed}</ul>']
    parts += [_lists(report), "</body></html>"]
    return "\n".join(parts) + "\n"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """A table whose cells may have **bold** parts and [intervals]."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:])
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    bold = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", escape(text))
    return re.sub(r"(\[[^\]]*\])$", r'<span class="interval">\1</span>', bold)


def _plots(report: EvaluationReport) -> str:
    try:
        drawn = plots(report)
    except MissingDependencyError as error:
        return f'<p class="lead">{escape(str(error))}</p>'
    figures = (
        f'<figure><figcaption>{escape(title)}</figcaption><img alt="{escape(title)}" '
        f'src="data:image/svg+xml;base64,{base64.b64encode(svg).decode("ascii")}"></figure>'
        for title, svg in drawn.items()
    )
    return f'<h2>Plots</h2><div class="plots">{"".join(figures)}</div>' if drawn else ""


def _pictures(report: EvaluationReport) -> str:
    """A row for each photo: the photo; and of each method (its first seed) the photo's view and two turned ones."""
    shown = [row for row in report.photos if row.pictures.get("photo")]
    photos = [name for name in dict.fromkeys(row.photo for row in shown) if name in report.measured]
    if not photos:
        return ""
    rows = {(row.photo, row.method): row for row in shown if row.seed == 0}
    first, second = "<th>photo</th>", "<th></th>"
    for column in report.columns:
        first += f'<th colspan="3">{escape(column_name(column, report.columns))}</th>'
        second += f"<th>photo's view</th><th>-{report.shown_yaw:g}°</th><th>+{report.shown_yaw:g}°</th>"
    body = ""
    for photo in photos:
        (original,) = rows[photo, report.columns[0][0]].pictures["photo"]
        cells = f"<td>{_image(original, photo)}<small>{escape(photo)}</small></td>"
        for method, stage in report.columns:
            pictures = rows[photo, method].pictures.get(stage, ())
            cells += "".join(f"<td>{_image(picture, f'{photo}, {method}')}</td>" for picture in pictures)
        body += f"<tr>{cells}</tr>"
    return (
        f'<h2>Pictures</h2><table class="pictures"><thead><tr>{first}</tr><tr>{second}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _image(image: Tensor, words: str) -> str:
    """A picture inside the page, as JPEG."""
    picture = Image.fromarray(to_uint8(enlarge(image, SHOWN_SIDE))[0])
    if picture.width > LARGEST_SIDE:
        picture = picture.resize((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=_QUALITY)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<img loading="lazy" alt="{escape(words)}" src="data:image/jpeg;base64,{data}">'


def _lists(report: EvaluationReport) -> str:
    """Methods, measures and protocol in words."""
    methods = [(m.name, f"{m.system}, {m.steps} step(s); {', '.join(m.files)}") for m in report.methods]
    sets = dict.fromkeys(figure.split("/")[1] for _, figure in report.sets)
    measures = [(measure_of(f).heading, measure_of(f).words) for f in (*report.figures, *sets)]
    protocol = [(name, str(value)) for name, value in report.protocol.items() if value not in (None, {})]
    text = ""
    for title, entries in (("Methods", methods), ("Measures", measures), ("Protocol", protocol)):
        items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in entries if words)
        text += f"<h2>{title}</h2><dl>{items}</dl>"
    return text
