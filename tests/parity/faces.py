"""Networks that look at faces: ArcFace's identity, unsup3d's uncertainty of the flip, Deep3D's coefficients."""

from __future__ import annotations

import torch

from eg3d_kernels import Implementation
from threedpsp.camera import Camera
from threedpsp.metrics import ArcFaceIdentity
from threedpsp.metrics.irse_blocks import SEPool
from threedpsp.preprocessing.confnet import ConfNet
from threedpsp.preprocessing.deep3d import Deep3D
from threedpsp.preprocessing.mirror_sigma import estimate_mirror_sigma

from .case import Case
from .measure import Measured, compare

EMBEDDING = 1e-5  # float32 through 24 bottlenecks; the worst seen is 3e-6, the other pooling differs by 1e-1 and more
SIGMA = 1e-5  # float32, group normalisation between; the worst seen is 3e-6. Resizing in one step costs 1e-2
COEFFICIENTS = 1e-5  # float32 sums in another order; the worst seen is 6e-7
ARCFACE_INPUTS = ("image512_fp16", "image512")
CONFNET_INPUTS = ("image_u8",)
DEEP3D_INPUTS = ("image224_fp16", "image224")
POOLS: dict[str, SEPool] = {"average": "avg", "max": "max"}


def run_arcface(case: Case, implementation: Implementation) -> list[Measured]:
    """Embeddings by each pooling that was recorded."""
    weights = case.weights()
    images = case.tensor(case.one_named(r"image\d*(_fp16)?")).float()
    outputs = {}
    for word, pool in POOLS.items():
        name = f"embedding_{word}_pool_se"
        if name in case.tensors:
            network = ArcFaceIdentity(se_pool=pool)
            own = {n for n in network.state_dict() if not n.endswith("num_batches_tracked")}
            network.load_state_dict({**network.state_dict(), **{n: weights[n] for n in own}})
            with torch.no_grad():
                outputs[name] = network(images)
    return compare(case, outputs, dict.fromkeys(outputs, EMBEDDING))


def run_confnet(case: Case, implementation: Implementation) -> list[Measured]:
    """Both outputs of the network, what is stored for a photo, and the map as the loss sees it."""
    network = ConfNet.from_state(case.weights())
    photos = case.tensor(case.one_named(r"image(_u8)?")).float() / 127.5 - 1
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    network.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        stored = network.stored_map(photos)
        cameras, points = Camera.orbit(0.0).expand(len(photos)), torch.zeros(len(photos), 478, 2)  # not looked at
        mirror_sigma = estimate_mirror_sigma(photos, points, cameras, backend=network)
    outputs = {
        "conf_sigma_l1": seen[0][0],
        "conf_sigma_percl": seen[0][1],
        "file_256": stored,
        "mirror_sigma_512": mirror_sigma,
    }
    return compare(case, outputs, SIGMA)


def run_deep3d(case: Case, implementation: Implementation) -> list[Measured]:
    """All 257 coefficients."""
    network = Deep3D.from_state(case.weights())
    with torch.no_grad():
        coefficients = network(case.tensor(case.one_named(r"image\d*(_fp16)?")).float())
    return compare(case, {"coefficients": coefficients}, COEFFICIENTS)
