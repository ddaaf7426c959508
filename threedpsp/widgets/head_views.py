"""One head at every stage of its making, from any side: the work behind the viewer, without a front end."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

from ..eg3d.generator import Generator
from ..encoder.checks import check_head
from ..errors import InputError
from ..export.images import depth_to_rgb, enlarge, to_uint8
from ..paths import turned
from ..rendering import HasGenerator, head_planes, rays_for
from ..types import FaceCrop, Inversion, Render, TriPlanes, WPlus

PITCH_LIMIT = 40.0
"""Degrees up and down that are looked at; models know faces from about the height of the eyes."""


class HeadViews:
    """Pictures of a head, rendered when asked for; the planes of the last stage that was looked at are kept."""

    def __init__(self, source: Generator | HasGenerator, head: Inversion, photo: FaceCrop | None = None) -> None:
        """Keeps what is needed; nothing is rendered yet.

        Args:
            source: a generator, or a pipeline.
            head: of one photo.
            photo: its crop, to be shown beside it.

        Raises:
            InputError: several heads.
            WeightsError: the head was made with another generator.
        """
        self.generator = source if isinstance(source, Generator) else source.generator
        check_head("view", self.generator, head)
        self.head, self.photo = head, photo
        self.stages: list[tuple[str, Inversion]] = _stages(head)
        self._kept: tuple[int, Generator, TriPlanes] | None = None

    @property
    def yaw_degrees(self) -> float:
        """Of the photo's own camera."""
        return self.head.camera.yaw_degrees[0].item()

    @property
    def pitch_degrees(self) -> float:
        """Of the photo's own camera."""
        return self.head.camera.pitch_degrees[0].item()

    def picture(
        self,
        yaw_degrees: float | None = None,
        pitch_degrees: float | None = None,
        *,
        stage: int = -1,
        depth: bool = False,
        compare: bool = False,
        quick: bool = False,
        side: int = 384,
    ) -> UInt8[ndarray, "h w 3"]:
        """The head from one side.

        Args:
            yaw_degrees: of the camera, positive = to its right; default: the photo's own.
            pitch_degrees: positive = up; default: the photo's own; kept within `PITCH_LIMIT`.
            stage: index in `stages`; -1 = the finished head.
            depth: distance as colours instead of the picture.
            compare: the photo to the left of it, where there is one.
            quick: a quarter of the rays with half of the samples: for a picture that moves.
            side: pictures are enlarged to it, so that quick ones are as large as others.

        Returns:
            uint8 [side,side,3], or twice as wide with the photo; larger where the model's pictures are.

        Raises:
            InputError: there is no such stage, or the angles are not finite.
        """
        yaw = self.yaw_degrees if yaw_degrees is None else float(yaw_degrees)
        pitch = self.pitch_degrees if pitch_degrees is None else float(pitch_degrees)
        if not np.isfinite([yaw, pitch]).all():
            raise InputError(f"Yaw and pitch are degrees; got {yaw} and {pitch}.")
        view = self._render(yaw, max(-PITCH_LIMIT, min(PITCH_LIMIT, pitch)), stage, quick)
        side = max(side, self.generator.config.img_resolution)
        shown = _depth_picture(view, side) if depth else to_uint8(enlarge(view.image, side))[0]
        if not compare or self.photo is None:
            return shown
        before = to_uint8(_resized(self.photo.image[:1], side))[0]
        return np.concatenate([before, shown], axis=1)

    @torch.no_grad()
    def _render(self, yaw: float, pitch: float, stage: int, quick: bool) -> Render:
        generator, planes, head = self._planes(stage)
        config = generator.config
        own = self.head.camera
        camera = turned(own, yaw - self.yaw_degrees, pitch - self.pitch_degrees, sphere=config.camera_sphere)
        side, rays = config.neural_rendering_resolution, rays_for(generator, camera)
        if quick:
            side = max(side // 2, 16)
            coarse, fine = max(rays.depth_resolution // 2, 4), rays.depth_resolution_importance // 2
            rays = dataclasses.replace(rays, depth_resolution=coarse, depth_resolution_importance=fine)
        ws = head.latent.ws.to(generator.device)
        return generator.render(planes, ws, camera, neural_rendering_resolution=side, rendering=rays)

    def _planes(self, stage: int) -> tuple[Generator, TriPlanes, Inversion]:
        """The generator and the planes of a stage, and its head."""
        if not -len(self.stages) <= stage < len(self.stages):
            raise InputError(f"This head has {len(self.stages)} stages, from 0; there is no stage {stage}.")
        stage %= len(self.stages)
        head = self.stages[stage][1]
        if self._kept is None or self._kept[0] != stage:
            self._kept = (stage, *head_planes(self.generator, head))
        return self._kept[1], self._kept[2], head


def _stages(head: Inversion) -> list[tuple[str, Inversion]]:
    """The encoder's steps, and the head itself where more was done to it."""
    steps = [
        (f"step {number}", Inversion(WPlus(ws, head.latent.generator), head.camera))
        for number, (ws, _) in enumerate(head.steps, 1)
    ]
    tuned = head.plane_offset is not None or bool(head.generator_delta)
    same = steps and not tuned and torch.equal(steps[-1][1].latent.ws, head.latent.ws)
    return [*steps[:-1], (steps[-1][0], head)] if same else [*steps, ("result", head)]


def _depth_picture(view: Render, side: int) -> ndarray:
    small = depth_to_rgb(view.image_depth[0], view.opacity[0])
    tensor = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 127.5 - 1
    return to_uint8(_resized(tensor, side, "nearest"))[0]


def _resized(image: Tensor, side: int, mode: str = "bilinear") -> Tensor:
    smooth = {} if mode == "nearest" else {"align_corners": False, "antialias": True}
    return torch.nn.functional.interpolate(image, size=(side, side), mode=mode, **smooth)
