"""Mutated and random weights files: only our errors or success, whatever the bytes; nothing runs, nothing crashes.

The mutations run in processes of their own, so that a crash is seen and not shared. Most files hold the smallest
weights of a network only: damage is done to their structure rather than to numbers. Some are whole, so
that what is recognised is loaded too.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.golden import DATA, ROOT, golden_dir
from tests.hostile_files import CONFIG, ENCODER, Call, encoder_state, generator_state, good_pickle, run
from tests.official_files import write_eg3d_pickle, write_encoder
from threedpsp.encoder.config import EncoderConfig
from threedpsp.encoder.encoder import build_encoder

MUTATIONS = 2_000
PROCESSES = 2
GOLDEN = "eg3d_official_format.pkl"


def few(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The small tensors of a network: enough for its structure."""
    return {name: t for name, t in state.items() if t.numel() <= 64}


def write_originals(folder: Path) -> list[Path]:
    """One small file of each format, two attacks whose calls a mutation might let through, and files that load."""
    generator = {n: t for n, t in few(generator_state()).items() if "mapping" in n or "b4." in n or "decoder" in n}
    latent_avg = torch.zeros(1, ENCODER.num_ws, ENCODER.w_dim)
    encoder = few(encoder_state())
    encoder = {n: t for n, t in encoder.items() if n.startswith(("input_layer", "body.0", "styles.0", "latlayer1"))}
    encoder |= {n: encoder_state()[n] for n in ("input_layer.0.weight", "styles.0.linear.weight", "latlayer1.weight")}
    canary = f"touch {folder / 'canary'}"
    save_file(generator, folder / "ours.safetensors", {"kind": "generator", "config": json.dumps(CONFIG.to_dict())})
    torch.save({"state_dict": encoder, "opts": {"call": run(canary)}}, folder / "attack.pt")
    return [
        write_eg3d_pickle(folder / "generator.pkl", CONFIG, generator),
        write_eg3d_pickle(folder / "attack.pkl", CONFIG, {**generator, "decoder.net.0.bias": Call(os.system, canary)}),
        write_encoder(folder / "encoder.pt", encoder, latent_avg),
        write_encoder(folder / "legacy.pt", encoder, latent_avg, legacy=True),
        folder / "attack.pt",
        folder / "ours.safetensors",
        good_pickle(folder / "whole.pkl"),
        write_encoder(folder / "whole.pt", narrow_encoder(), torch.zeros(1, 14, CONFIG.w_dim)),
        *(path for path in (DATA / GOLDEN, golden_dir() / GOLDEN) if path.is_file()),
    ]


def narrow_encoder() -> dict[str, torch.Tensor]:
    """Weights of a pSp encoder that fits the small generator."""
    narrow = dataclasses.replace(
        EncoderConfig.psp(), depths=(1, 1, 1, 1), widths=(4, 8, 12, 16), fpn_width=8, head_width=8, w_dim=CONFIG.w_dim
    )
    return dict(build_encoder(narrow).state_dict())


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, int]]]:
    """The folder, and what each process counted."""
    folder = tmp_path_factory.mktemp("fuzz")
    originals = write_originals(folder)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    processes = []
    for seed in range(PROCESSES):
        own = folder / f"process{seed}"
        own.mkdir()
        command = [sys.executable, "-m", "tests.fuzz_worker", str(seed), str(MUTATIONS // PROCESSES), str(own)]
        processes.append(
            subprocess.Popen(
                [*command, *map(str, originals)],
                cwd=own,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    counts = []
    for process in processes:
        out, error = process.communicate(timeout=580)
        assert process.returncode == 0, f"a process died ({process.returncode}): {error[-3000:]}"
        counts.append(json.loads(out.splitlines()[-1]))
    return folder, counts


def test_mutated_files_give_our_errors_or_are_read(fuzzed: tuple[Path, list[dict[str, int]]]) -> None:
    _, counts = fuzzed
    assert sum(count["tried"] for count in counts) == MUTATIONS
    # both happen: flipped numbers of a weight are read, flipped structure is refused
    assert all(count["refused"] > count["read"] > 0 and count["loaded"] > 0 for count in counts)


def test_mutated_files_run_nothing_and_write_nothing(fuzzed: tuple[Path, list[dict[str, int]]]) -> None:
    folder, _ = fuzzed
    assert not (folder / "canary").exists()
    assert [p.name for p in sorted(folder.glob("process*/*"))] == []
