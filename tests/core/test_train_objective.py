"""What a step computes: gradients in stages, over ReStyle's steps, with checkpointing; and what the terms are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.core.small_networks import small_generator
from threedpsp.camera import Camera
from threedpsp.encoder.config import EncoderConfig
from threedpsp.encoder.e4e import delta_norm
from threedpsp.encoder.encoder import Encoder, build_encoder
from threedpsp.encoder.inversion import invert_steps, resize_photo
from threedpsp.errors import InputError
from threedpsp.metrics.arcface import ArcFaceIdentity
from threedpsp.metrics.identity import DlibIdentity
from threedpsp.metrics.perceptual import STLPIPS
from threedpsp.precision import BFLOAT16
from threedpsp.training.encoders.comparison import Judges, landmarks_of, views_of
from threedpsp.training.encoders.config import TrainConfig
from threedpsp.training.encoders.ema import Average
from threedpsp.training.encoders.latent_terms import R1_EVERY, LatentCritic, LatentPool
from threedpsp.training.encoders.loss_weights import LossWeights
from threedpsp.training.encoders.networks import (
    build_trained,
    running_statistics,
    set_training,
    start_from_irse50,
    start_from_trunk,
)
from threedpsp.training.encoders.passes import Passes
from threedpsp.training.encoders.photos import Batch
from threedpsp.training.encoders.rendered import RenderedFaces

NONE = Judges(None, None)


def config(**settings: object) -> TrainConfig:
    values = {"size": "smallest", "latent_avg_samples": 20, "perceptual_weight": 0.0, "identity_weight": 0.0}
    return TrainConfig(**(values | {"n_iters": 2} | settings))  # type: ignore[arg-type]


def faces(count: int = 2) -> Batch:
    batch = RenderedFaces(small_generator(), 64, seed=0).batch(range(count))
    certainty = torch.rand(count, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    return Batch(batch.image, batch.camera, batch.mirror_image, certainty, batch.names)


def gradients(settings: TrainConfig, judges: Judges = NONE) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Of every parameter after one batch; the running statistics; the loss."""
    generator = small_generator()
    network = build_trained(settings, generator)
    set_training(network, settings.batch_norm)
    passes = Passes(settings, generator, judges)
    outcome = passes.train(network, faces(), 0, 1.0)
    return [p.grad for p in network.parameters() if p.grad is not None], running_statistics(network), outcome.loss


def test_staged_gradients_are_those_of_the_plain_loop():
    """The plain loop renders the planes anew for the mirror view and keeps one graph for both.

    Tolerance: the order of float32 sums differs between the two; the worst relative difference seen is 2e-6.
    """
    settings = config()
    staged, statistics, loss = gradients(settings)
    generator, batch = small_generator(), faces()
    network = build_trained(settings, generator)
    assert isinstance(network, Encoder)
    set_training(network, "batch")
    losses = []
    for step in invert_steps(network, generator, batch.image, batch.camera, 2, differentiable=True):
        mirror = generator.synthesis(step.ws, batch.camera.mirrored()).image
        front = (step.render.image - batch.image).square().mean()
        error = ((mirror - batch.mirror_image).square().mean(1, keepdim=True) * batch.mirror_certainty).mean()
        (front + error).backward()
        losses.append((front + error).detach())
    torch.testing.assert_close(loss, torch.stack(losses).mean())
    plain = [p.grad for p in network.parameters() if p.grad is not None]
    assert len(plain) == len(staged)
    for a, b in zip(staged, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()) + 1e-9)
    for a, b in zip(statistics, running_statistics(network), strict=True):
        torch.testing.assert_close(a, b)


def test_checkpointing_changes_neither_gradients_nor_running_statistics():
    plain, statistics, _ = gradients(config())
    again, statistics_again, _ = gradients(config(checkpointing=True))
    assert len(plain) == len(again) and len(statistics) > 0
    for a, b in zip([*plain, *statistics], [*again, *statistics_again], strict=True):
        torch.testing.assert_close(a, b)


def test_running_statistics_stay_when_they_are_what_normalises():
    _, statistics, _ = gradients(config(batch_norm="running"))
    assert all(bool(((t == 0) | (t == 1)).all()) for t in statistics)


def test_bfloat16_keeps_gradients_in_float32_and_close():
    settings, generator = config(n_iters=1), small_generator()
    generator.precision = BFLOAT16
    network = build_trained(settings, generator)
    set_training(network, "running")
    passes = Passes(settings, generator, NONE)
    passes.train(network, faces(), 0, 1.0)
    exact = gradients(config(n_iters=1, batch_norm="running"))[0]
    found = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(g.dtype == torch.float32 for g in found)
    a, b = (torch.cat([g.flatten() for g in part]) for part in (found, exact))
    assert torch.nn.functional.cosine_similarity(a, b, dim=0) > 0.99


def test_mirror_lpips_is_of_the_mirror_render_unless_asked_for_as_published():
    perceptual = STLPIPS()
    batch, judges = faces(), Judges(perceptual, None)
    weights = LossWeights(1.0, 0.5, 0.0, mirror=1.0, side=64)
    other = torch.zeros_like(batch.image)

    def terms(published: bool) -> dict[str, Tensor]:
        front, mirror = views_of(batch, weights, judges, published_mirror_lpips=published)
        assert torch.equal(mirror.camera.label, batch.camera.mirrored().label)
        return {**front.compare(batch.image)[1], **mirror.compare(other)[1]}

    ours, published = terms(False), terms(True)
    torch.testing.assert_close(ours["mirror_perceptual"], perceptual(other, batch.mirror_image).mean())
    torch.testing.assert_close(published["mirror_perceptual"], perceptual(batch.image, batch.mirror_image).mean())
    assert float(ours["perceptual"]) < 1e-6
    error = ((other - batch.mirror_image).square().mean(1, keepdim=True) * batch.mirror_certainty).mean()
    torch.testing.assert_close(ours["mirror_pixel"], error)


def test_dlib_looks_where_the_camera_sees_the_eyes():
    frontal = landmarks_of(Camera.orbit(torch.tensor([0.0, 30.0])), 512)
    assert frontal[0, 33, 0] < 256 < frontal[0, 263, 0]
    assert abs(float(frontal[0, 33, 1] - frontal[0, 263, 1])) < 1e-3
    width = frontal[:, 263, 0] - frontal[:, 33, 0]
    assert 0.6 * width[0] < width[1] < 0.95 * width[0]
    judges = Judges(None, DlibIdentity())
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    embedding = judges.embed(image, Camera.frontal())
    judges.identity_distance(embedding, torch.zeros_like(embedding)).sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0


def test_e4e_opens_row_after_row_and_pays_for_the_rows_differences():
    settings, generator = config(method="e4e", stage_start=2, stage_every=3), small_generator()
    network = build_trained(settings, generator)
    critic = LatentCritic(generator, 0)
    passes = Passes(settings, generator, NONE, critic)
    assert [passes.stage(network, step) for step in (0, 1, 2, 4, 5, 99)] == [0, 0, 1, 1, 2, network.num_ws - 1]
    closed = passes.validate(network, faces(1), 0)
    assert float(closed.terms["delta"]) == 0
    opened = passes.validate(network, faces(1), 99)
    torch.testing.assert_close(opened.terms["delta"], delta_norm(opened.ws - network.latent_avg) * 1, rtol=1e-3, atol=1)
    assert float(opened.terms["delta"]) > 0


def test_the_critic_learns_to_tell_the_generators_w_and_its_gradients_stay_its_own():
    generator = small_generator()
    critic = LatentCritic(generator, 0)
    critic.optimizer.param_groups[0]["lr"] = 1e-2
    ws = torch.full((2, generator.config.num_ws, generator.config.w_dim), 3.0, requires_grad=True)
    losses = []
    for step in range(1, 12):
        critic.optimizer.zero_grad()
        losses.append(float(critic.backward(ws.detach(), 2, step, 0, 1.0)["critic"]))
        critic.optimizer.step()
    assert losses[-1] < 0.9 * losses[0]
    critic.optimizer.zero_grad()
    total, _ = critic.terms(ws, 2, LossWeights(delta=0.0, discriminator=1.0))
    total.backward()
    assert all(p.grad is None for p in critic.network.parameters())
    assert ws.grad is not None and bool((ws.grad[:, 3:] == 0).all()) and bool((ws.grad[:, :3] != 0).any())
    critic.backward(ws.detach(), 2, R1_EVERY, 0, 1.0)  # with R1
    assert critic.pool.count == 50


def test_the_pool_keeps_what_it_was_given_and_gives_back_as_many():
    pool, random = LatentPool(torch.zeros(4, 2)), torch.Generator().manual_seed(0)
    first = torch.arange(8.0).view(4, 2)
    assert torch.equal(pool.exchange(first, random), first)
    second = first + 100
    given = pool.exchange(second, random)
    assert given.shape == second.shape
    old = [row for row in given if row.max() < 100]
    assert 0 < len(old) < 4
    assert sum(bool(row.min() >= 100) for row in pool.entries) == len(old)


def test_the_mean_of_the_weights_follows_and_buffers_are_copied():
    generator = small_generator()
    network = build_trained(config(), generator)
    average = Average(network, 0.5)
    before = [p.detach().clone() for p in network.parameters()]
    with torch.no_grad():
        for p in network.parameters():
            p.add_(1.0)
        for t in running_statistics(network):
            t.add_(2.0)
    average.update(10**6)
    for p, old in zip(average.network.parameters(), before, strict=True):
        torch.testing.assert_close(p, old + 0.5)
    for a, b in zip(running_statistics(average.network), running_statistics(network), strict=True):
        assert torch.equal(a, b)
    assert Average(network, 0.0).measured() is network


def test_irse50_starts_the_trunk_and_leaves_the_estimates_channels_at_zero():
    arcface = ArcFaceIdentity()
    sizes = {"num_ws": 6, "w_dim": 24, "coarse_rows": 2, "middle_rows": 2, "head_width": 16, "shared_heads": True}
    encoder = build_encoder(EncoderConfig(input_resolution=32, **sizes))  # type: ignore[arg-type]
    assert start_from_irse50(encoder, arcface) > 300
    assert torch.equal(encoder.input_layer[0].weight[:, :3], arcface.input_layer[0].weight)
    assert not encoder.input_layer[0].weight[:, 3:].any()
    assert torch.equal(encoder.body[23].res_layer[3].weight, arcface.body[23].res_layer[3].weight)
    with pytest.raises(InputError, match="--size full"):
        start_from_irse50(build_trained(config(), small_generator()), arcface)


def test_the_trunk_of_another_method_is_taken_without_its_heads():
    generator = small_generator()
    source = build_trained(config(seed=1), generator)  # sees photo and estimate
    network = build_trained(config(method="psp"), generator)
    heads = {name: t.clone() for name, t in network.state_dict().items() if name.startswith("styles.")}
    assert start_from_trunk(network, source) > 10
    own, taken = network.state_dict(), source.state_dict()
    assert torch.equal(own["input_layer.0.weight"], taken["input_layer.0.weight"][:, :3])
    assert all(torch.equal(own[name], taken[name]) for name in own if name.startswith("body."))
    assert heads and all(torch.equal(own[name], t) for name, t in heads.items())
    with pytest.raises(InputError, match="same --size"):
        start_from_trunk(network, build_encoder(EncoderConfig.tiny()))


def test_fewer_rays_are_for_training_alone():
    settings, generator = config(render_side=8, n_iters=1), small_generator()
    network = build_trained(settings, generator)
    passes = Passes(settings, generator, NONE)
    batch = faces(1)

    def distance_from(side: int | None, image: Tensor, ws: Tensor) -> float:
        planes = generator.planes(ws)
        render = generator.render(planes, ws, batch.camera, neural_rendering_resolution=side).image
        return (resize_photo(render, 64) - image).abs().max().item()

    trained, validated = passes.train(network, batch, 0, 1.0), passes.validate(network, batch, 0)
    assert distance_from(8, trained.images[-1], trained.ws) < 1e-5
    assert distance_from(None, trained.images[-1], trained.ws) > 1e-3
    assert distance_from(None, validated.images[-1], validated.ws) < 1e-5


def test_pictures_are_compared_at_the_chosen_side(tmp_path: Path):
    settings, generator = config(loss_side=32), small_generator()
    network = build_trained(settings, generator)
    passes = Passes(settings, generator, NONE)
    batch = RenderedFaces(generator, 32, seed=0).batch([0])
    outcome = passes.validate(network, batch, 0)
    assert outcome.images[0].shape == (1, 3, 32, 32)
    full = generator.synthesis(outcome.ws, batch.camera).image
    torch.testing.assert_close(outcome.images[-1], resize_photo(full, 32), atol=1e-5, rtol=1e-4)
