"""Mutates weights files, reads and loads them; prints how many ended how. Anything but our errors ends the process.

`python -m tests.fuzz_worker SEED COUNT FOLDER FILE...`: COUNT mutations, written one at a time into FOLDER; one in ten
is of a large file.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threedpsp.eg3d.generator import Generator

SECONDS = 5
LARGE = 1 << 18  # bytes; reading and loading such a file takes a tenth of a second and more
OPCODES = b"(.01qrhjNJKMGXCB]ael)t}sucRbQiox" + bytes([0x80, 0x81, 0x82, *range(0x85, 0x97)])


def mutated(data: bytes, random_source: random.Random) -> bytes:
    """A few changes of one kind: bits, bytes, opcodes, a cut, a part doubled, dropped or moved, or all bytes random."""
    choose = random_source.randrange
    kind = choose(9)
    if kind == 0:
        return random_source.randbytes(choose(4096))
    if kind == 1:
        return data[: choose(len(data))]
    changed = bytearray(data)
    for _ in range(1 + choose(4)):
        # the structure is denser at both ends of a file than in the middle
        at = min(int(len(changed) * random_source.betavariate(0.5, 0.5)), len(changed) - 1)
        length = choose(1, 64)
        if kind == 2:
            changed[at] ^= 1 << choose(8)
        elif kind == 3:
            changed[at] = choose(256)
        elif kind == 4:
            changed[at] = random_source.choice(OPCODES)
        elif kind == 5:
            changed[at : at + 8] = random_source.choice((b"\xff" * 8, b"\0" * 8, b"\x7f" * 8))
        elif kind == 6:
            del changed[at : at + length]
        elif kind == 7:
            changed[at:at] = changed[at : at + length]
        else:
            other = choose(len(changed))
            changed[at : at + length] = changed[other : other + length]
        if not changed:
            break
    return bytes(changed)


def read_and_load(path: Path, generator: Generator) -> str:
    """ "refused", "read" (recognised, but it cannot be used) or "loaded"; errors must name the file."""
    from threedpsp.errors import ThreeDPSPError
    from threedpsp.weights.load import load_encoder, load_generator
    from threedpsp.weights.recognise import recognise

    outcome = "refused"
    try:
        found = recognise(path, digest=False)
        outcome = "read"
        if found.kind == "eg3d-generator":
            load_generator(path, "cpu")
        else:
            load_encoder(path, generator)
        outcome = "loaded"
    except ThreeDPSPError as error:
        assert str(path) in str(error), error
    return outcome


def main() -> None:
    import torch

    from tests.hostile_files import CONFIG
    from threedpsp.eg3d.generator import Generator

    torch.set_num_threads(1)
    seed, count, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    originals = [(Path(name).suffix, Path(name).read_bytes()) for name in sys.argv[4:]]
    small = [original for original in originals if len(original[1]) < LARGE]
    large = [original for original in originals if len(original[1]) >= LARGE]
    random_source = random.Random(seed)
    generator = Generator(CONFIG).eval()
    counts = {"tried": 0, "refused": 0, "read": 0, "loaded": 0}
    for index in range(count):
        suffix, data = large[index // 10 % len(large)] if large and index % 10 == 0 else small[index % len(small)]
        path = folder / f"case{index}{suffix}"
        path.write_bytes(mutated(data, random_source))
        signal.alarm(4 * SECONDS)
        started = time.process_time()
        counts[read_and_load(path, generator)] += 1
        assert time.process_time() - started < SECONDS, path
        signal.alarm(0)
        counts["tried"] += 1
        path.unlink()  # what is left at the end was left by a failure, or written by a file
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
