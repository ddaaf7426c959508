"""ArcFace IR-SE50 against the published network with drawn weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.golden import load_golden, relative_error, seeded_weights
from threedpsp.errors import WeightsError
from threedpsp.metrics import ArcFaceIdentity, id_loss
from threedpsp.metrics.irse_blocks import SEModule
from threedpsp.weights.load import load_arcface

TOLERANCE = 3e-5  # float32 through 24 bottlenecks; seen: 3e-6. The other pooling differs by 1e-1 and more


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return seeded_weights("arcface_ir_se50.weights.json")


@pytest.fixture(scope="module")
def network(weights: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> ArcFaceIdentity:
    path = tmp_path_factory.mktemp("arcface") / "model_ir_se50.pth"
    torch.save(weights, path)
    return load_arcface(path)


def test_embedding_of_a_cut_face_equals_the_published(network: ArcFaceIdentity) -> None:
    tensors, _ = load_golden("arcface_part")
    assert relative_error(network.embed_faces(tensors["face112"]), tensors["embedding_average_pool_se"]) < TOLERANCE


def test_max_pooling_gives_what_3dpsp_computed(network: ArcFaceIdentity, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, _ = load_golden("arcface_part")
    for module in network.modules():
        if isinstance(module, SEModule):
            monkeypatch.setattr(module, "pool", "max")
    assert relative_error(network.embed_faces(tensors["face112"]), tensors["embedding_max_pool_se"]) < TOLERANCE


def test_training_mode_does_not_change_it(network: ArcFaceIdentity) -> None:
    faces = load_golden("arcface_part")[0]["face112"]
    before = network.embed_faces(faces)
    assert torch.equal(network.train().embed_faces(faces), before)


def test_small_crops_are_enlarged_and_differentiable(network: ArcFaceIdentity) -> None:
    crop = torch.rand(1, 3, 64, 64, requires_grad=True)
    embedding = network(crop)
    assert torch.allclose(embedding.norm(dim=1), torch.ones(1))
    embedding[0, 0].backward()
    assert crop.grad.isfinite().all() and crop.grad.abs().sum() > 0


def test_id_loss_is_one_minus_cosine() -> None:
    a = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    b = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert torch.equal(id_loss(a, b), torch.tensor([0.0, 1.0, 2.0]))


def test_missing_and_foreign_files_are_refused(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    with pytest.raises(WeightsError, match="none.pth: it cannot be read"):
        load_arcface(tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("no weights at all")
    with pytest.raises(WeightsError, match="text.pth: it is none of the formats"):
        load_arcface(tmp_path / "text.pth")
    part = {name: tensor for name, tensor in weights.items() if not name.startswith("output_layer.3")}
    torch.save(part, tmp_path / "part.pth")
    with pytest.raises(WeightsError, match="part.pth: it holds none of the networks"):
        load_arcface(tmp_path / "part.pth")


def test_tensors_of_another_network_are_refused(weights: dict[str, torch.Tensor]) -> None:
    with pytest.raises(WeightsError, match="342 tensors missing, 0 unknown"):
        ArcFaceIdentity.from_state({"body.0.res_layer.0.weight": weights["body.0.res_layer.0.weight"]})
