"""Draws docs/images/architecture.svg from the imports of the code: python -m tests.docs.draw_architecture

Boxes are the packages and modules, on the floors that tests/architecture/test_layers.py guards; an arrow is an import.
Arrows that follow from others are left out: where a imports b and b imports c, the arrow from a to c is not drawn.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from xml.sax.saxutils import escape

from tests.architecture.test_layers import FILES, FLOORS, ROOT, imports

TARGET = ROOT / "docs" / "images" / "architecture.svg"
READER, PUBLIC = "weights (reader)", "public names"
WIDTH, BOX_WIDTH, BOX_HEIGHT, GAP, STAGGER = 1180, 124, 34, 60, 46
FLOOR_HEIGHT, LEFT, TOP = 74, 190, 20
NAMES = {
    0: "no imports",
    1: "files as data",
    2: "the machine",
    3: "threads",
    4: "cameras",
    5: "values",
    6: "bridge to kernels",
    7: "networks, measures",
    8: "photos",
    9: "inversion",
    10: "files in, files out",
    11: "stages",
    12: "pipeline",
    13: "training, evaluation",
    14: "front ends",
    15: "import threedpsp",
}
"""A word for each floor of threedpsp; the last is its front door."""


def box_of(parts: tuple[str, ...]) -> str | None:
    """The box of a dotted name below the repository; None: not ours."""
    if parts[0] in {"nodes", "eg3d_kernels"}:
        return parts[0]
    if parts[0] != "threedpsp" or parts[1:2] == ("__main__",):
        return None
    if len(parts) < 2 or parts[1] not in set().union(*FLOORS, {"weights"}):
        return PUBLIC
    return READER if ".".join(parts[1:3]) in FLOORS[1] else parts[1]


def edges() -> dict[str, set[str]]:
    """Box -> boxes that it imports."""
    found: dict[str, set[str]] = defaultdict(set)
    floors = heights()
    for path in FILES:
        own = box_of(path.relative_to(ROOT).with_suffix("").parts)
        for _, name, relative in imports(path):
            parts = tuple(name.removeprefix("..").lstrip(".").split("."))
            other = box_of(parts) if relative or parts[0] == "eg3d_kernels" else None
            if own in floors and other in floors and other != own:
                found[own].add(other)
    return found


def heights() -> dict[str, int]:
    """Box -> floor; eg3d_kernels is the ground, nodes the roof."""
    floors = {"eg3d_kernels": 0, PUBLIC: len(FLOORS) + 1, "nodes": len(FLOORS) + 2}
    for height, names in enumerate(FLOORS, start=1):
        for name in names:
            if name != "__main__":
                floors[READER if name.startswith("weights.") else name] = height
    return floors


def reduced(graph: dict[str, set[str]]) -> list[tuple[str, str]]:
    """The arrows that follow from no others."""
    floor = heights()

    def reaches(start: str, goal: str, seen: set[str]) -> bool:
        for step in graph.get(start, set()):
            if step == goal:
                return True
            if step not in seen and floor[step] >= floor[goal]:
                seen.add(step)
                if reaches(step, goal, seen):
                    return True
        return False

    return sorted(
        (a, b)
        for a, others in graph.items()
        for b in others
        if not any(c != b and reaches(c, b, {a}) and not reaches(c, a, {b}) for c in others)
    )


def first_words(box: str) -> str:
    """What the docstring of the box says first, for those who point at it."""
    if box == READER:
        return "The guarded reader of published files: nothing in them is executed."
    place = ROOT / "threedpsp" / (box if box != PUBLIC else "")
    for path in (place.with_suffix(".py"), place / "__init__.py", ROOT / box / "__init__.py"):
        if path.is_file():
            return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or box).split("\n")[0]
    return box


def places() -> dict[str, tuple[float, float]]:
    """Box -> the middle of its upper edge."""
    floor, found = heights(), {}
    top = max(floor.values())
    for height in range(top + 1):
        row = sorted(box for box, h in floor.items() if h == height)
        width = len(row) * BOX_WIDTH + (len(row) - 1) * GAP
        start = LEFT + (WIDTH - LEFT - 20 - width) / 2 + STAGGER * (height % 3 - 1)
        for number, box in enumerate(row):
            found[box] = (start + number * (BOX_WIDTH + GAP) + BOX_WIDTH / 2, TOP + (top - height) * FLOOR_HEIGHT)
    return found


def svg() -> str:
    """The whole picture."""
    where, floor = places(), heights()
    top = max(floor.values())
    bottom = TOP + (top + 1) * FLOOR_HEIGHT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{bottom}" fill="#ffffff"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#7a8694"/></marker></defs>',
    ]
    for height in range(top + 1):
        y = TOP + (top - height) * FLOOR_HEIGHT - 12
        word = {0: "numeric operations", top: "ComfyUI"}.get(height) or NAMES[height - 1]
        fill = {0: "#fdf1e3", top: "#e9f5ec"}.get(height, "#eef3f9" if height % 2 else "#f6f9fc")
        lines.append(f'<rect x="8" y="{y}" width="{WIDTH - 16}" height="{FLOOR_HEIGHT - 4}" rx="6" fill="{fill}"/>')
        lines.append(f'<text x="20" y="{y + 34}" font-size="14" fill="#5a6673">{escape(word)}</text>')
    for a, b in reduced(edges()):
        (ax, ay), (bx, by) = where[a], where[b]
        start, end = ay + BOX_HEIGHT, by - 2
        if floor[a] == floor[b]:
            side = BOX_WIDTH / 2 * (1 if bx > ax else -1)
            d = f"M{ax + side:.0f} {ay + 17:.0f} L{bx - side:.0f} {by + 17:.0f}"
        else:
            d = f"M{ax:.0f} {start:.0f} C{ax:.0f} {start + 36:.0f} {bx:.0f} {end - 36:.0f} {bx:.0f} {end:.0f}"
        lines.append(f'<path d="{d}" fill="none" stroke="#7a8694" stroke-width="1.1" marker-end="url(#tip)"/>')
    for box, (x, y) in sorted(where.items()):
        lines.append(
            f'<g><title>{escape(first_words(box))}</title><rect x="{x - BOX_WIDTH / 2:.0f}" y="{y}" '
            f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5" fill="#ffffff" stroke="#2f4a68"/>'
            f'<text x="{x:.0f}" y="{y + 22}" font-size="13" text-anchor="middle" fill="#14263a">'
            f"{escape(box)}</text></g>"
        )
    return "\n".join([*lines, "</svg>", ""])


def main(target: Path = TARGET) -> None:
    """Writes the picture."""
    target.write_text(svg(), encoding="utf-8")
    print(f"{target.relative_to(ROOT)}: {len(heights())} boxes, {len(reduced(edges()))} arrows")


if __name__ == "__main__":
    main()
