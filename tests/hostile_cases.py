"""The hostile, broken and foreign files by name, and words that the refusal of each contains."""

from __future__ import annotations

import builtins
import functools
import json
import operator
import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.hostile_costs import COSTS
from tests.hostile_files import (
    HUNDRED_GB,
    Call,
    cut,
    encoder_state,
    endless_modules,
    entry_named,
    fifo,
    flat_encoder,
    folder,
    generator_state,
    getattr_chain,
    good_encoder,
    huge_storage,
    large_storage,
    legacy_bytes,
    long_names,
    lying_zip,
    many_heads,
    many_modules,
    name_of_lists,
    nested_bytes,
    one_storage,
    one_storage_pt,
    our_encoder,
    our_file,
    our_generator,
    overlapping_zip,
    pickled,
    rezipped,
    run,
    safetensors_file,
    shared_lists,
    shared_tensors,
    shifted_zip,
    tensor_call,
    torch_file,
    two_directories,
    with_attributes,
    with_huge_storage,
    with_nan,
    with_rendering,
    with_settings,
    with_weights,
    written,
)
from tests.official_files import (
    write_encoder,
)


@dataclass(frozen=True)
class Case:
    """A file: how it is made in a folder, and what its refusal says. `canary`: the file that an attack would create."""

    name: str
    file: str
    make: Callable[[Path, str], Path]
    says: str


def _case(name: str, file: str, says: str, make: Callable[[Path], Path]) -> Case:
    return Case(name, file, lambda path, _: make(path), says)


def _attack(name: str, file: str, says: str, make: Callable[[Path, str], Path]) -> Case:
    """`make` gets a path and a Python expression's text or a command that creates the canary."""
    return Case(name, file, make, says)


def python(command: str) -> str:
    """The same as a Python statement."""
    return f"__import__('os').system({command!r})"


CASES = [
    # code in a pickle, in every place a pickle has
    _attack("os-system", "a.pkl", "system", lambda p, c: pickled(p, run(c))),
    _attack("os-system-as-G_ema", "a.pkl", "system", lambda p, c: pickled(p, {"G_ema": run(c)})),
    _attack("os-system-protocol-0", "a.pkl", "none of the formats", lambda p, c: pickled(p, run(c), 0)),
    _attack("os-system-protocol-2", "a.pkl", "system", lambda p, c: pickled(p, {"G_ema": run(c)}, 2)),
    _attack("eval", "a.pkl", "builtins.eval", lambda p, c: pickled(p, Call(eval, python(c)))),
    _attack("exec", "a.pkl", "builtins.exec", lambda p, c: pickled(p, Call(exec, python(c)))),
    _attack(
        "getattr-chain",
        "a.pkl",
        "builtin__.getattr",
        lambda p, c: written(p, getattr_chain(c)),
    ),
    _attack(
        "import", "a.pkl", "builtins.__import__", lambda p, c: pickled(p, Call(builtins.__import__, "antigravity"))
    ),
    _attack("attrgetter", "a.pkl", "operator", lambda p, c: pickled(p, Call(operator.attrgetter, "system"))),
    _attack("partial", "a.pkl", "functools.partial", lambda p, c: pickled(p, Call(functools.partial, os.system, c))),
    _attack("weight-is-a-call", "a.pkl", "system", lambda p, c: with_weights(p, backbone__mapping__fc0__weight=run(c))),
    _attack(
        "nested-storage",
        "a.pkl",
        "not a torch file",
        lambda p, c: with_weights(p, backbone__mapping__fc0__bias=nested_bytes(pickle.dumps(run(c)))),
    ),
    _attack(
        "nested-torch-file",
        "a.pkl",
        "system",
        lambda p, c: with_weights(p, backbone__mapping__fc0__bias=nested_bytes(legacy_bytes(run(c)))),
    ),
    _attack(
        "setstate",
        "a.pkl",
        "refers to",
        lambda p, c: pickled(p, {"G_ema": Call(OrderedDict, state={"__setstate__": os.system, "x": c})}),
    ),
    _attack(
        "build-on-a-function",
        "a.pkl",
        "Do not trust",
        lambda p, c: written(p, b"\x80\x04ctorch._utils\n_rebuild_tensor_v2\n}\x8c\x08__code__\x8c\x01xsb."),
    ),
    _attack(
        "inst-opcode",
        "a.pkl",
        "opcode",
        lambda p, c: written(p, b"\x80\x02(X" + struct.pack("<I", len(c)) + c.encode() + b"ios\nsystem\n."),
    ),
    _attack("extension-opcode", "a.pkl", "opcode", lambda p, c: written(p, b"\x80\x02\x82\x01." + b" " * 20)),
    _attack(
        "dotted-name", "a.pkl", "refers to", lambda p, c: written(p, b"\x80\x04\x8c\x08training\x8c\x09x.os.path\x93.")
    ),
    _attack(
        "persistent-id", "a.pkl", "outside the pickle", lambda p, c: written(p, b"\x80\x04\x8c\x04evilQ." + b" " * 20)
    ),
    _attack("pt-os-system", "a.pt", "system", lambda p, c: torch_file(p, {"state_dict": run(c)})),
    _attack("pt-legacy-os-system", "a.pth", "system", lambda p, c: torch_file(p, {"state_dict": run(c)}, legacy=True)),
    _attack("pt-opts-eval", "a.pt", "eval", lambda p, c: torch_file(p, {"opts": Call(eval, python(c))})),
    _attack("pickle-in-safetensors", "a.safetensors", "pickle", lambda p, c: pickled(p, run(c))),
    _attack("torch-in-safetensors", "a.safetensors", "pickle", lambda p, c: torch_file(p, {"x": run(c)})),
    # sizes that are not true
    _case(
        "100-GB-shape",
        "a.pkl",
        "claims",
        lambda p: with_weights(p, backbone__mapping__fc0__weight=tensor_call((HUNDRED_GB // 4,), (1,))),
    ),
    _case(
        "100-GB-expanded",
        "a.pkl",
        "claims",
        lambda p: with_weights(p, backbone__mapping__fc0__weight=tensor_call((HUNDRED_GB // 4,), (0,))),
    ),
    _case(
        "overflowing-shape",
        "a.pkl",
        "damaged",
        lambda p: with_weights(p, backbone__mapping__fc0__weight=tensor_call((1 << 40, 1 << 62), (1, 1))),
    ),
    _case(
        "negative-stride",
        "a.pkl",
        "damaged",
        lambda p: with_weights(p, backbone__mapping__fc0__weight=tensor_call((2,), (-1,))),
    ),
    _case(
        "100-GB-nested-storage",
        "a.pkl",
        "damaged",
        lambda p: with_weights(p, backbone__mapping__fc0__bias=nested_bytes(huge_storage())),
    ),
    _case("100-GB-legacy-pt", "a.pt", "claims", lambda p: written(p, huge_storage())),
    _case("100-GB-pt", "a.pt", "claims", lambda p: rezipped(p, entry_named("data.pkl", with_huge_storage))),
    _case("100-GB-bytearray", "a.pt", "bytearray", lambda p: torch_file(p, {"x": Call(bytearray, HUNDRED_GB)})),
    _case(
        "100-GB-bytes",
        "a.pkl",
        "claims",
        lambda p: written(p, b"\x80\x04\x8e" + struct.pack("<Q", HUNDRED_GB) + b"x" * 99),
    ),
    _case(
        "100-GB-frame",
        "a.pkl",
        "claims",
        lambda p: written(p, b"\x80\x04\x95" + struct.pack("<Q", HUNDRED_GB) + b"x" * 99),
    ),
    _case(
        "100-GB-text",
        "a.pkl",
        "text",
        lambda p: written(p, b"\x80\x04\x8d" + struct.pack("<Q", HUNDRED_GB) + b"x" * 99),
    ),
    _case(
        "2-GB-number",
        "a.pkl",
        "opcode",
        lambda p: written(p, b"\x80\x04\x8b" + struct.pack("<i", 2**31 - 1) + b"x" * 99),
    ),
    _case(
        "huge-memo", "a.pkl", "without a network", lambda p: written(p, b"\x80\x04Nr\xff\xff\xff\xff0}." + b" " * 20)
    ),
    _case("million-operations", "a.pkl", "operations", lambda p: written(p, b"\x80\x04" + b"]" * 2_000_000 + b".")),
    _case(
        "safetensors-100-GB-header", "a.safetensors", "header", lambda p: safetensors_file(p, b"{}", claimed=HUNDRED_GB)
    ),
    _case(
        "safetensors-100-GB-shape",
        "a.safetensors",
        "readable",
        lambda p: safetensors_file(
            p, json.dumps({"x": {"dtype": "F32", "shape": [HUNDRED_GB], "data_offsets": [0, 4 * HUNDRED_GB]}}).encode()
        ),
    ),
    _case(
        "safetensors-overlapping",
        "a.safetensors",
        "readable",
        lambda p: safetensors_file(
            p, json.dumps({n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in "ab"}).encode(), b"\0" * 4
        ),
    ),
    # nesting and size of the tree
    _case("deep-tuples", "a.pkl", "without a network", lambda p: written(p, b"\x80\x04)" + b"\x85" * 200_000 + b".")),
    _case("deep-tuple-as-key", "a.pkl", "keys", lambda p: written(p, b"\x80\x04})" + b"\x85" * 200_000 + b"Ns.")),
    _case(
        "deep-lists",
        "a.pkl",
        "without a network",
        lambda p: written(p, b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b"."),
    ),
    _case(
        "deep-lists-pt",
        "a.pt",
        "list",
        lambda p: rezipped(p, entry_named("data.pkl", lambda d: b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".")),
    ),
    _case("modules-in-themselves", "a.pkl", "without end", endless_modules),
    _case("modules-without-end", "a.pkl", "without end", many_modules),
    # small files that say much: values that contain one another twice, forty times over
    _case(
        "shared-lists-as-resolution",
        "a.pkl",
        "neural_rendering_resolution",
        lambda p: with_attributes(p, neural_rendering_resolution=shared_lists()),
    ),
    _case(
        "shared-lists-as-size", "a.pkl", "img_resolution", lambda p: with_attributes(p, img_resolution=shared_lists())
    ),
    _case("shared-lists-as-clamp-mode", "a.pkl", "clamp_mode", lambda p: with_rendering(p, clamp_mode=shared_lists())),
    _case("shared-lists-as-pivot", "a.pkl", "pivot", lambda p: with_rendering(p, avg_camera_pivot=shared_lists())),
    _case(
        "shared-lists-as-initial-setting",
        "a.pkl",
        "init_kwargs",
        lambda p: with_attributes(p, _init_kwargs={"w_dim": shared_lists()}),
    ),
    _case("shared-lists-as-a-name", "a.pkl", "no name of a class", name_of_lists),
    _case(
        "shared-lists-pt-opts",
        "a.pt",
        "missing",
        lambda p: write_encoder(p, encoder_state(), None, options={"encoder_type": shared_lists()}),
    ),
    _case(
        "shared-lists-pt-content", "a.pt", "none of the networks", lambda p: torch_file(p, {"weights": shared_lists()})
    ),
    _case(
        "shared-lists-pt-metadata",
        "a.pt",
        "more than a tensor",
        lambda p: torch_file(p, {"x": tensor_call((4,), (1,), x=shared_lists())}),
    ),
    _case("long-keys", "a.pkl", "keys", lambda p: pickled(p, {(("x" * 4_000_000),) * 99: 0})),
    _case("shared-tensors", "a.pkl", "without end", shared_tensors),
    _case("one-storage-for-all", "a.pkl", "the same numbers", one_storage),
    _case("one-storage-for-all-pt", "a.pt", "the same numbers", one_storage_pt),
    _case("one-large-storage-for-all", "a.pkl", "storage", large_storage),
    _case("many-heads", "a.pt", "heads", many_heads),
    _case("long-module-name", "a.pkl", "the name of a part", long_names),
    _case(
        "one-dict-ten-thousand-times",
        "a.pt",
        "none of the networks",
        lambda p: torch_file(p, dict.fromkeys(range(20_000), {f"w{i}": torch.zeros(1) for i in range(5000)})),
    ),
    # zip files
    _case(
        "zip-bomb",
        "a.pt",
        "compressed",
        lambda p: rezipped(p, entry_named("data.pkl", lambda d: b"\0" * 200_000_000), compress=True),
    ),
    _case("compressed-zip", "a.pt", "compressed", lambda p: rezipped(p, lambda e: None, compress=True)),
    _case("zip-lies-about-size", "a.pt", "zip", lying_zip),
    _case("zip-two-directories", "a.pt", "two directories", lambda p: two_directories(p, 64)),
    _case("zip-100-GB-directory", "a.pt", "two directories", lambda p: two_directories(p, HUNDRED_GB)),
    _case("zip-shifted", "a.pt", "zip directory", shifted_zip),
    _case("zip-overlaps", "a.pt", "zip", overlapping_zip),
    _case("zip-leads-out", "a.pt", "leads out", lambda p: rezipped(p, lambda e: e.update({"../../canary": b"x"}))),
    _case("zip-absolute-name", "a.pt", "leads out", lambda p: rezipped(p, lambda e: e.update({"/tmp/canary": b"x"}))),
    _case(
        "torchscript",
        "a.pt",
        "TorchScript",
        lambda p: rezipped(p, lambda e: e.update({next(iter(e)).split("/")[0] + "/code/x.py": b"x"})),
    ),
    _case(
        "zip-of-something-else",
        "a.pt",
        "not one that torch",
        lambda p: rezipped(p, lambda e: [e.pop(n) for n in list(e) if n.endswith("data.pkl")] and None),
    ),
    _case(
        "zip-storage-missing",
        "a.pt",
        "nothing",
        lambda p: rezipped(p, lambda e: [e.pop(n) for n in list(e) if n.endswith("data/0")] and None),
    ),
    # networks that do not fit
    _case("wrong-keys", "a.pkl", "missing", lambda p: with_weights(p, decoder__net__0__weight=None)),
    _case("unknown-keys", "a.pkl", "unknown", lambda p: with_weights(p, decoder__extra=torch.zeros(3))),
    _case(
        "wrong-shape",
        "a.pkl",
        "decoder.net.0.weight is [3]",
        lambda p: with_weights(p, decoder__net__0__weight=torch.zeros(3)),
    ),
    _case(
        "nan",
        "a.pkl",
        "NaN",
        lambda p: with_weights(p, decoder__net__0__weight=with_nan(generator_state()["decoder.net.0.weight"])),
    ),
    _case(
        "infinity",
        "a.pkl",
        "NaN or infinite",
        lambda p: with_weights(
            p, decoder__net__0__bias=with_nan(generator_state()["decoder.net.0.bias"], float("inf"))
        ),
    ),
    _case(
        "whole-numbers",
        "a.pkl",
        "whole numbers",
        lambda p: with_weights(p, decoder__net__0__bias=generator_state()["decoder.net.0.bias"].long()),
    ),
    _case(
        "whole-numbers-pt",
        "a.pt",
        "whole numbers",
        lambda p: torch_file(p, {n: t.byte() for n, t in encoder_state().items()}),
    ),
    _case(
        "latent-avg-of-whole-numbers",
        "a.pt",
        "latent_avg holds whole numbers",
        lambda p: write_encoder(p, encoder_state(), torch.ones(1, 14, 4).int()),
    ),
    _case("encoder-of-another-size", "a.pt", "missing", good_encoder),
    _case("encoder-legacy-of-another-size", "a.pt", "missing", lambda p: good_encoder(p, legacy=True)),
    _case("latent-avg-wrong", "a.pt", "latent_avg", lambda p: write_encoder(p, encoder_state(), torch.zeros(7))),
    _case(
        "latent-avg-nan",
        "a.pt",
        "latent_avg",
        lambda p: write_encoder(p, encoder_state(), torch.full((1, 14, 4), float("nan"))),
    ),
    _case("unknown-network", "a.pt", "none of the networks", lambda p: torch_file(p, {"conv.weight": torch.zeros(2)})),
    _case("not-a-dict", "a.pt", "list", lambda p: torch_file(p, [1, 2, 3])),
    _case(
        "superresolution-of-the-moon",
        "a.pkl",
        "Hybrid9X",
        lambda p: with_settings(
            p, b"superresolution.SuperresolutionHybrid2X", b"superresolution.SuperresolutionHybrid9X"
        ),
    ),
    _case("million-layers", "a.safetensors", "mapping_layers", lambda p: our_generator(p, mapping_layers=10**9)),
    _case("no-z", "a.safetensors", "z_dim", lambda p: our_generator(p, z_dim=0)),
    _case("no-w", "a.safetensors", "w_dim", lambda p: our_generator(p, w_dim=0)),
    _case("no-channels", "a.safetensors", "channel_max", lambda p: our_generator(p, channel_max=0)),
    _case("no-channels-left", "a.safetensors", "no network has its sizes", lambda p: our_generator(p, channel_base=4)),
    _case("no-z-pkl", "a.pkl", "z_dim", lambda p: with_attributes(p, z_dim=0)),
    _case("odd-groups", "a.safetensors", "no network", lambda p: our_encoder(p, norm="group", widths=[4, 4, 4, 33])),
    _case("weights-of-no-dimension", "a.pt", "dimensions", flat_encoder),
    _case("weights-of-one-dimension", "a.pt", "dimensions", lambda p: flat_encoder(p, 3)),
    _case("weights-of-no-numbers", "a.pt", "dimensions", lambda p: flat_encoder(p, 0, 0, 0, 0)),
    _case(
        "heads-of-no-numbers",
        "a.pt",
        "which no network has",
        lambda p: torch_file(p, {**encoder_state(), "styles.0.linear.weight": torch.zeros(0, 0)}),
    ),
    _case("huge-exponent", "a.safetensors", "sr_up", lambda p: our_generator(p, sr_up=[10**9, 0])),
    _case("huge-channels", "a.safetensors", "channel_max", lambda p: our_generator(p, channel_max=10**12)),
    _case("negative-size", "a.safetensors", "w_dim", lambda p: our_generator(p, w_dim=-8)),
    _case("text-for-a-size", "a.safetensors", "settings", lambda p: our_generator(p, img_resolution="big")),
    _case("deep-json", "a.safetensors", "a.safetensors", lambda p: our_file(p, "[" * 100_000)),
    _case(
        "nested-config",
        "a.safetensors",
        "conv_clamp",
        lambda p: our_file(p, '{"conv_clamp": ' + "[" * 900 + "]" * 900 + "}"),
    ),
    _case("config-is-a-list", "a.safetensors", "configuration", lambda p: our_file(p, "[1]")),
    # no weights at all
    _case("empty", "a.pkl", "empty", lambda p: written(p, b"")),
    _case("one-byte", "a.pt", "formats", lambda p: written(p, b"x")),
    _case("text", "a.pkl", "formats", lambda p: written(p, b"<!DOCTYPE html><html>Sign in to download</html>")),
    _case("zeros", "a.pkl", "formats", lambda p: written(p, b"\0" * 100_000)),
    _case("directory", "a.pkl", "folder", folder),
    _case("pipe", "a.pkl", "ordinary", fifo),
    _case("device", "a.pkl", "ordinary", lambda p: Path("/dev/zero")),
    _case("missing", "a.pkl", "No such file", lambda p: p),
    _case("path-with-a-zero", "a.pkl", "no name of a file", lambda p: p.with_name("a\0b.pkl")),
    _case("path-with-dots", "a.pkl", "No such file", lambda p: p.parent / ".." / ".." / "nothing" / "a.pkl"),
    _case("path-to-a-system-file", "a.pkl", "formats", lambda p: Path("/usr/../etc/passwd")),
    # cut off
    *(
        _case(f"cut-at-{f}", "a.pkl", "a.pkl", functools.partial(cut, fraction=f))
        for f in (*(0.0001, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.99999),)
    ),
    *(
        _case(f"pt-cut-at-{f}", "a.pt", "a.pt", functools.partial(cut, fraction=f, make=good_encoder))
        for f in (0.01, 0.5, 0.99)
    ),
    *(
        _case(
            f"legacy-cut-at-{f}",
            "a.pt",
            "a.pt",
            functools.partial(cut, fraction=f, make=functools.partial(good_encoder, legacy=True)),
        )
        for f in (0.01, 0.5, 0.99)
    ),
    *(
        _case(
            f"safetensors-cut-at-{f}",
            "a.safetensors",
            "readable",
            functools.partial(cut, fraction=f, make=our_generator),
        )
        for f in (0.001, 0.5, 0.99)
    ),
    # small on the disk, dear to read or to use
    *(_case(*cost) for cost in COSTS),
]
