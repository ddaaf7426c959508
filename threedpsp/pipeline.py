"""The whole path in one object: photo -> FaceCrop -> Inversion -> renders from any camera."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import UInt8
from numpy import ndarray

from .camera import Camera
from .device import resolve_device
from .eg3d.config import RenderConfig
from .eg3d.generator import Generator
from .encoder import refine as refining
from .encoder.inversion import InversionNetwork, check_belongs, invert
from .encoder.methods import MethodName
from .encoder.pti import PivotalTuning
from .encoder.refine import RefineConfig, RefineProgress
from .errors import InputError, WeightsError
from .export.images import enlarge, to_uint8
from .preprocessing.photo import PhotoSource
from .preprocessing.prepare import FaceChoice, prepare_photo
from .preprocessing.prepared_folder import PreparedPhoto, load_prepared
from .types import FaceCrop, Inversion, Render
from .weights.load import load_generator
from .weights.search import find_weights
from .weights.systems import PoseName, check_method, load_system, pose_network

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how far it is, and how far it will go; an exception that it raises ends the work."""


@dataclass(frozen=True)
class Pipeline:
    """A generator and what turns photos into its heads (an encoder or another system), on one device."""

    generator: Generator
    encoder: InversionNetwork

    def __post_init__(self) -> None:
        check_belongs(self.encoder, self.generator)

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.generator.device

    def prepare(
        self,
        photo: PhotoSource | PreparedPhoto,
        *,
        face: FaceChoice = "largest",
        pose: PoseName = "mediapipe",
        deep3d_weights: str | Path | None = None,
        weights_dirs: Sequence[str | Path] = (),
    ) -> FaceCrop:
        """See `prepare`."""
        return prepare(photo, face=face, pose=pose, deep3d_weights=deep3d_weights, weights_dirs=weights_dirs)

    def invert(
        self,
        crop: FaceCrop,
        *,
        method: MethodName | None = None,
        steps: int | None = None,
        refine: RefineConfig | bool = False,  # noqa: A002 - the word users know
        on_progress: Progress | None = None,
    ) -> Inversion:
        """A face as a latent: the system's steps, then refining if asked for.

        Args:
            crop: of one photo or several.
            method: the system; default: the loaded one. "pti" needs no encoder and is always there; the others must be
                the loaded one (see `load`).
            steps: of the system; default is its own (3DpSp 5, pSp and e4e 1, TriPlaneNet 2, PTI 800).
            refine: True for the default budget, or a RefineConfig.
            on_progress: called after every step of the encoder, and with the percentage spent while refining.

        Raises:
            InputError: refining several photos at once, an impossible number of steps, or an unknown method.
            WeightsError: another system is loaded than `method`.
        """
        on_progress = on_progress or _quiet
        network = self.encoder
        if method == "pti" and network.method != "pti":
            network = PivotalTuning(self.generator)
        check_method(network, method)
        inversion = invert(
            network,
            self.generator,
            crop.image.to(self.device),
            crop.camera,
            steps,
            on_step=lambda done, total: on_progress("encode", done, total),
        )
        return self.refine(inversion, crop, refine, on_progress=on_progress) if refine else inversion

    def refine(
        self,
        inversion: Inversion,
        crop: FaceCrop,
        config: RefineConfig | bool = True,
        *,
        on_progress: Progress | None = None,
    ) -> Inversion:
        """Brings a finished inversion closer to its photo (see `RefineConfig`)."""
        report = on_progress or _quiet

        def on_step(progress: RefineProgress) -> None:
            report("refine", min(99, int(100 * progress.fraction)), 100)

        report("refine", 0, 100)
        settings = config if isinstance(config, RefineConfig) else RefineConfig()
        refined = refining.refine(self.generator, inversion, crop, settings, on_step)
        report("refine", 100, 100)
        return refined

    def render(self, inversion: Inversion, cameras: Camera, *, chunk: int = 1) -> Iterator[Render]:
        """One Render per camera (batch of one, on the networks' device); the planes are made once.

        Args:
            inversion: of one photo.
            cameras: any number; nearer and farther ones move the sampled depths along.
            chunk: cameras rendered at a time.

        Raises:
            WeightsError: the inversion was made with another generator.
            InputError: it holds several photos.
        """
        if inversion.latent.generator != self.generator.fingerprint:
            raise WeightsError(
                f"This latent belongs to generator {inversion.latent.generator}, not to {self.generator.fingerprint}. "
                "Load the generator it was made with."
            )
        if len(inversion.latent.ws) != 1:
            raise InputError(f"render takes the inversion of one photo; this one holds {len(inversion.latent.ws)}.")
        return self._renders(inversion, cameras, max(1, chunk))

    def frames(
        self, inversion: Inversion, cameras: Camera, *, side: int = 0, on_progress: Progress | None = None
    ) -> Iterator[UInt8[ndarray, "h w 3"]]:
        """The same as pictures, uint8 [H,W,3]; enlarged (bicubic) to `side` where the model's are smaller."""
        for index, view in enumerate(self.render(inversion, cameras), 1):
            yield to_uint8(enlarge(view.image, side))[0]
            (on_progress or _quiet)("render", index, len(cameras))

    @torch.no_grad()
    def _renders(self, inversion: Inversion, cameras: Camera, chunk: int) -> Iterator[Render]:
        delta = inversion.generator_delta
        generator = self.generator.with_delta(delta) if delta else self.generator
        ws = inversion.latent.ws.to(self.device)
        planes = generator.planes(ws)
        if inversion.plane_offset is not None:
            features = planes.features + inversion.plane_offset.to(self.device)
            planes = dataclasses.replace(planes, features=features)
        for start in range(0, len(cameras), chunk):
            part = cameras[start : start + chunk]
            view = generator.render(planes, ws, part, rendering=self._rendering(part))
            for i in range(len(part)):
                one = slice(i, i + 1)
                yield Render(view.image[one], view.image_raw[one], view.image_depth[one], view.opacity[one])

    def _rendering(self, cameras: Camera) -> RenderConfig:
        """The generator's ray settings with near and far moved by as much as these cameras are nearer or farther."""
        config = self.generator.config
        rendering, offset = config.rendering, cameras.position.norm(dim=1) - config.camera_radius
        if isinstance(rendering.ray_start, str) or isinstance(rendering.ray_end, str) or offset.abs().max() < 1e-3:
            return rendering
        start = max(0.01, rendering.ray_start + offset.min().item())
        return dataclasses.replace(rendering, ray_start=start, ray_end=rendering.ray_end + offset.max().item())


def load(
    name: str | Path = "tiny",
    *,
    encoder: str | Path | None = None,
    method: MethodName | None = None,
    device: str | torch.device | None = None,
    weights_dirs: Sequence[str | Path] = (),
) -> Pipeline:
    """A ready pipeline.

    Args:
        name: the generator: "tiny", the model that comes with this package, a name of the catalogue, or a file.
        encoder: the same for the encoder (or TriPlaneNet); by default the one that goes by `name`, or by `method`.
        method: the system wanted: "3dpsp", "psp", "e4e", "triplanenet-v1", "triplanenet-v2" or "pti" (which needs no
            weights of its own); default: what the encoder's file holds.
        device: default: CUDA if there, else MPS, else CPU.
        weights_dirs: folders that are searched first (see `find_weights`).

    Raises:
        WeightsError: a file is missing, damaged, or they do not belong together.
        InputError: this machine has no such device.
    """
    where = resolve_device(device)
    generator = load_generator(find_weights(name, weights_dirs), where)
    return Pipeline(generator, load_system(generator, name, encoder=encoder, method=method, weights_dirs=weights_dirs))


def prepare(
    photo: PhotoSource | PreparedPhoto,
    *,
    face: FaceChoice = "largest",
    size: int = 512,
    pose: PoseName = "mediapipe",
    deep3d_weights: str | Path | None = None,
    weights_dirs: Sequence[str | Path] = (),
) -> FaceCrop:
    """A photo (path, Pillow image or array) as an aligned crop with camera, landmarks and uncertainty of the flip.

    Args:
        photo: path, Pillow image or array [H,W,3]; or a crop of a folder that is prepared already, which is taken as it
            is, with its own camera and size (see `read_prepared`).
        face: "largest", or a number counted from the largest (0).
        size: side of the crop in pixels.
        pose: where the camera comes from: MediaPipe's landmarks, or Deep3DFaceRecon's network.
        deep3d_weights: that network's file; default: `epoch_20.pth` in the search path.
        weights_dirs: folders that are searched first (see `find_weights`).

    Raises:
        NoFaceError: no usable face.
        InputError: not a readable photo.
        WeightsError: Deep3D's file is missing or damaged.
    """
    if isinstance(photo, PreparedPhoto):
        return load_prepared(photo)
    deep3d = pose_network(pose, deep3d_weights, weights_dirs)
    return prepare_photo(photo, face=face, size=size, border="mirror", with_mirror_sigma=True, deep3d=deep3d)


def render(pipeline: Pipeline, inversion: Inversion, cameras: Camera) -> Iterator[Render]:
    """One Render per camera; see `Pipeline.render`."""
    return pipeline.render(inversion, cameras)


def _quiet(stage: str, done: int, total: int) -> None:
    """Reports nothing."""
