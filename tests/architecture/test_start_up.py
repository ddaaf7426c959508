"""What a command does not wait for: torch's compiler and its algebra, which take a second to import.

A first likeness does, as torch's optimizers import them.
"""

from __future__ import annotations

from pathlib import Path

from tests.architecture.test_import_floor import run

INVERT_AND_RENDER = """
import sys, torch, threedpsp
pipeline = threedpsp.load("tiny", device="cpu")
photo = torch.zeros(1, 3, 128, 128)
camera = pipeline.generator.frontal_camera
head = pipeline.invert(threedpsp.FaceCrop(photo, camera), likeness="none", steps=1)
next(iter(pipeline.render(head, camera)))
ws = head.latent.ws.clone().requires_grad_()
pipeline.generator.synthesis(ws, camera).image.sum().backward()
assert ws.grad.any()
print(*sys.modules, sep="\\n")
"""


def test_the_system_alone_rendering_and_gradients_import_no_compiler(tmp_path: Path):
    loaded = run(INVERT_AND_RENDER, tmp_path).splitlines()
    assert not {"torch._dynamo", "torch._inductor", "sympy"} & set(loaded)
