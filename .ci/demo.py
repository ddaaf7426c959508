"""Runs `threedpsp demo` and checks what is promised of it: time, memory, a video that plays, and a head that holds."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import torch

from threedpsp import prepare
from threedpsp.cli.demo import astronaut
from threedpsp.metrics import identity_distance
from threedpsp.preprocessing import detect_faces, estimate_camera

SECONDS = 60.0
GIGABYTES = 2.5
FRAMES = 48
FRAMES_WITH_FACE = 46
SWING_DEGREES = 25.0
YAW_ERROR_DEGREES = 6.0
SAME_PERSON = 0.6


def run_demo(output: Path) -> dict[str, bool]:
    """Time and memory of the whole command."""
    started = time.perf_counter()
    subprocess.run(["threedpsp", "demo", "-o", str(output)], check=True)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    return {
        f"{seconds:.0f} s in all (limit {SECONDS:.0f})": seconds <= SECONDS,
        f"peak memory {peak:.2f} GB (limit {GIGABYTES})": peak <= GIGABYTES,
    }


def watch_video(folder: Path) -> dict[str, bool]:
    """What the video shows: landmarks and their yaw in every frame, identity where it passes the photo's camera."""
    report = json.loads((folder / "report.json").read_text())
    asked = np.array(report["video"]["cameras"]["yaw_degrees"])
    with av.open(str(folder / "turntable.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    points = [(i, faces[0].points) for i, frame in enumerate(frames) if (faces := detect_faces(frame))]
    error = 180.0
    if points:
        normalised = torch.from_numpy(np.stack([p for _, p in points])) / frames[0].shape[0]
        error = float(np.abs(estimate_camera(normalised).yaw_degrees.numpy() - asked[[i for i, _ in points]]).max())
    identity = photo_distance(frames[int(np.abs(asked - report["camera"]["yaw_degrees"]).argmin())])
    return {
        f"{len(frames)} frames (promised {FRAMES})": len(frames) == FRAMES,
        f"swings from {asked.min():.0f} to {asked.max():.0f} degrees (promised +-{SWING_DEGREES:.0f})": bool(
            asked.min() <= -SWING_DEGREES and asked.max() >= SWING_DEGREES
        ),
        f"landmarks in {len(points)} frames (promised {FRAMES_WITH_FACE})": len(points) >= FRAMES_WITH_FACE,
        f"yaw as asked for within {error:.1f} degrees (promised {YAW_ERROR_DEGREES:.0f})": error <= YAW_ERROR_DEGREES,
        f"identity distance to the photo {identity:.2f} (limit {SAME_PERSON})": identity < SAME_PERSON,
    }


def photo_distance(frame: np.ndarray) -> float:
    """Identity distance between the photo and one frame, each at its own landmarks."""
    crop, faces = prepare(astronaut()), detect_faces(frame)
    if crop.landmarks is None or not faces:
        return 9.0
    image = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 127.5 - 1
    return identity_distance(crop.image, image, crop.landmarks, torch.from_numpy(faces[0].points)[None]).item()


def main() -> int:
    """Prints every promise with what was measured; returns 1 where one is broken."""
    output = Path(sys.argv[1])
    checks = run_demo(output) | watch_video(output / "astronaut")
    for words, kept in checks.items():
        print(f"{'ok  ' if kept else 'FAIL'} {words}")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
