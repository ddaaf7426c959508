"""The published sizes on this machine's CPU: official-format files, then `threedpsp invert` on the demo's photo.

`python -m tests.full_size DIR [FRAMES]` writes 1 GB of weights (recorded cases' numbers: the pictures mean nothing) and
the results into DIR, and prints the command's seconds and peak memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

from tests.peak_memory import peak_bytes
from threedpsp.cli import main
from threedpsp.cli.demo import astronaut

STEPS = 5  # of the loop, where nothing else is asked for


def run(folder: Path, frames: int) -> int:
    """Returns the command's exit code, or 1 if it made another number of steps or frames."""
    subprocess.run([sys.executable, "-m", "tests.official_files", str(folder)], check=True)
    photo = folder / "astronaut.png"
    Image.fromarray(astronaut()).save(photo)
    files = ["--generator", str(folder / "generator.pkl"), "--encoder", str(folder / "encoder.pt")]
    started = time.perf_counter()
    code = main(["invert", str(photo), *files, "--no-refine", "--frames", str(frames), "-o", str(folder / "out")])
    seconds, peak = time.perf_counter() - started, peak_bytes() / 1e9
    if code:
        return code
    report = json.loads((folder / "out" / "astronaut" / "report.json").read_text())
    steps, made = report["info"]["encoder_steps"], len(report["video"]["cameras"]["yaw_degrees"])
    print(f"full size on a CPU: {steps} steps, {made} frames of 512 pixels: {seconds:.0f} s, peak memory {peak:.1f} GB")
    return 0 if (steps, made) == (STEPS, frames) else 1


if __name__ == "__main__":
    raise SystemExit(run(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 6))
