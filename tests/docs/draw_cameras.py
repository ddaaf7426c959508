"""Draws docs/images/cameras.png with the cameras of threedpsp.camera themselves: python -m tests.docs.draw_cameras

Needs matplotlib (`pip install -e ".[notebooks]"`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from threedpsp import Camera
from threedpsp.camera import PIVOT, RADIUS

TARGET = Path(__file__).resolve().parents[2] / "docs" / "images" / "cameras.png"
COLOURS = ("#c0392b", "#27864a", "#2462b3")  # x, y, z
ARROW = 0.55
SHOWN = (("frontal", 0.0, 0.0), ("yaw +30", 30.0, 0.0), ("yaw -30", -30.0, 0.0), ("pitch +30", 0.0, 30.0))


def plotted(points: np.ndarray) -> tuple[Any, ...]:
    """World x, y, z as the plot's axes, whose third points up: x, -z, y."""
    x, y, z = np.moveaxis(np.asarray(points, dtype=float), -1, 0)
    return x, -z, y


def arrows(axes: Any, origin: np.ndarray, directions: np.ndarray, length: float, names: str) -> None:
    """Three arrows from a point, with their names at their tips."""
    for direction, colour, name in zip(directions, COLOURS, names, strict=True):
        axes.quiver(
            *plotted(origin), *plotted(direction * length), color=colour, linewidth=1.8, arrow_length_ratio=0.18
        )
        axes.text(*plotted(origin + direction * length * 1.2), name, color=colour, fontsize=9, ha="center", va="center")


def space(axes: Any) -> None:
    """The head, the world's axes, and the cameras around it with their own axes."""
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 25), np.linspace(0, np.pi, 13))
    head = np.stack([0.22 * np.cos(u) * np.sin(v), 0.3 * np.cos(v), 0.25 * np.sin(u) * np.sin(v)], axis=-1)
    axes.plot_surface(*plotted(head), color="#e3b998", alpha=0.45, linewidth=0)
    nose = np.array([[0, 0, 0.24], [0, -0.06, 0.36], [0, -0.08, 0.25]])
    axes.plot(*plotted(nose), color="#9a6b45", linewidth=3)
    arrows(axes, np.zeros(3), np.eye(3), 0.8, "XYZ")
    around = Camera.orbit(np_tensor(np.linspace(-60, 60, 61))).position.numpy()
    axes.plot(*plotted(around), color="#9aa5b1", linewidth=1, linestyle="--")
    for name, yaw, pitch in SHOWN:
        camera = Camera.orbit(yaw, pitch)
        position, turned = camera.position[0].numpy(), camera.cam2world[0, :3, :3].numpy()
        axes.plot(*plotted(np.stack([position, np.array(PIVOT)])), color="#9aa5b1", linewidth=0.8)
        arrows(axes, position, turned.T, ARROW, "xyz")
        axes.text(*plotted(position + np.array([0, 0.22, 0])), name, fontsize=10, ha="center")
    axes.set_box_aspect((3.8, 3.8, 2.5), zoom=1.42)
    axes.set(xlim=(-1.9, 1.9), ylim=(-3.2, 0.6), zlim=(-0.7, 1.8))
    axes.set_axis_off()
    axes.view_init(elev=28, azim=-58)
    axes.set_title(
        "World X Y Z (y up, the face looks along Z)\nand each camera's x y z (right, down, forward)", fontsize=10
    )


def from_above(axes: Any) -> None:
    """Yaw, radius and pivot, seen from above."""
    around = Camera.orbit(np_tensor(np.linspace(-60, 60, 61))).position.numpy()
    axes.plot(around[:, 0], around[:, 2], color="#9aa5b1", linestyle="--", linewidth=1)
    for name, yaw, pitch in SHOWN[:3]:
        x, _, z = Camera.orbit(yaw, pitch).position[0].tolist()
        axes.plot([x, PIVOT[0]], [z, PIVOT[2]], color="#9aa5b1", linewidth=0.8)
        axes.plot(x, z, "s", color="#14263a", markersize=7)
        axes.annotate(name, (x, z), textcoords="offset points", xytext=(0, 10), ha="center", fontsize=10)
    circle = np.linspace(0, 2 * np.pi, 60)
    axes.fill(0.22 * np.cos(circle), 0.25 * np.sin(circle), color="#e3b998", alpha=0.7)
    axes.plot(*(PIVOT[0], PIVOT[2]), marker="o", color="#c0392b", markersize=5)
    axes.annotate(f"pivot {PIVOT}", (PIVOT[0], PIVOT[2]), xytext=(14, -3), textcoords="offset points", fontsize=9)
    axes.plot(0, 0, "k+", markersize=9)
    axes.annotate("origin", (0, 0), xytext=(14, -8), textcoords="offset points", fontsize=9)
    axes.annotate(f"radius {RADIUS}", (-0.08, 1.5), rotation=90, fontsize=9, ha="right", va="center")
    axes.set(aspect="equal", xlabel="world x", ylabel="world z", xlim=(-2.3, 2.3), ylim=(-0.7, 3.2))
    axes.set_title("From above: positive yaw takes\nthe camera to its right (+x)", fontsize=10)


def np_tensor(values: np.ndarray) -> Any:
    """As the tensor that `Camera.orbit` takes."""
    import torch

    return torch.from_numpy(values).float()


def main(target: Path = TARGET) -> None:
    """Writes the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(11, 5.2))
    space(figure.add_axes((0.0, 0.0, 0.58, 0.92), projection="3d"))
    from_above(figure.add_axes((0.64, 0.11, 0.34, 0.76)))
    figure.savefig(target, dpi=110)
    print(f"docs/images/{target.name}: {len(SHOWN)} cameras")


if __name__ == "__main__":
    main()
