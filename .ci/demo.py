"""Runs `threedpsp demo` and checks what the README promises: time, memory, and a video of 48 frames that plays."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import av

LIMIT_SECONDS = 60.0
LIMIT_GB = 2.5


def main() -> int:
    """Prints what was measured; returns 1 where a promise is broken."""
    output = Path(sys.argv[1])
    started = time.perf_counter()
    subprocess.run(["threedpsp", "demo", "-o", str(output)], check=True, env=os.environ)
    seconds = time.perf_counter() - started
    peak_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    with av.open(str(output / "astronaut" / "turntable.mp4")) as video:
        frames = sum(1 for _ in video.decode(video=0))
    print(f"demo: {seconds:.0f} s (limit {LIMIT_SECONDS:.0f}), peak {peak_gb:.2f} GB (limit {LIMIT_GB}), {frames} frames")
    return int(seconds > LIMIT_SECONDS or peak_gb > LIMIT_GB or frames != 48)


if __name__ == "__main__":
    sys.exit(main())
