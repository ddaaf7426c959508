"""The whole path in one object: photo -> FaceCrop -> Inversion -> renders from any camera."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import UInt8
from numpy import ndarray

from .camera import Camera
from .eg3d.generator import Generator
from .encoder import refine as refining
from .encoder.checks import check_steps
from .encoder.first_likeness import Likeness, check_likeness, first_likeness, wants_first_likeness
from .encoder.inversion import ImageCallback, InversionNetwork, check_belongs, invert
from .encoder.methods import MethodName
from .encoder.pti import PivotalTuning, PTIConfig, tune_generator
from .encoder.refine import RefineConfig, RefineProgress
from .precision import Precision, PrecisionName
from .preprocessing.photo import PhotoSource
from .preprocessing.prepare import FaceChoice, prepare_photo
from .preprocessing.prepared_folder import PreparedPhoto, load_prepared
from .rendering import Progress, frames, render
from .threads import as_many_threads_as_pay
from .types import FaceCrop, Inversion, Render
from .weights.systems import (
    ConfidenceSource,
    PoseName,
    check_method,
    confidence_network,
    load_generator,
    load_system,
    pose_network,
)


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
        conf_map: ConfidenceSource = "builtin",
        weights_dirs: Sequence[str | Path] = (),
    ) -> FaceCrop:
        """See `prepare`."""
        return prepare(
            photo,
            face=face,
            pose=pose,
            deep3d_weights=deep3d_weights,
            conf_map=conf_map,
            weights_dirs=weights_dirs,
        )

    @as_many_threads_as_pay()
    def invert(
        self,
        crop: FaceCrop,
        *,
        method: MethodName | None = None,
        steps: int | None = None,
        likeness: Likeness = "auto",
        seed: int = 0,
        refine: RefineConfig | bool = False,  # noqa: A002 - the word users know
        on_progress: Progress | None = None,
        on_image: ImageCallback | None = None,
    ) -> Inversion:
        """A face as a latent: the system's steps, then a first likeness, or refining if asked for.

        Args:
            crop: of one photo or several.
            method: the system; default: the loaded one. "pti" needs no encoder and is always there; the others must be
                the loaded one (see `load`).
            steps: of the system; default is its own (3DpSp 5, pSp and e4e 1, TriPlaneNet 2, PTI 800).
            likeness: what follows the system: "instant", a handful of updates that bring each head close to its own
                photo; "none", nothing, as published; "auto", instant where it costs about two seconds (generators of
                at most 256 pixels). Where heads are refined, refining makes these updates.
            seed: of the first likeness.
            refine: True for the default budget, or a RefineConfig.
            on_progress: called after every step of the encoder ("encode") and every update of the first likeness
                ("likeness"), and with the percentage spent while refining ("refine").
            on_image: called before that with the picture so far, [N,3,R,R] in [-1,1]: a live preview.

        Raises:
            InputError: refining several photos at once, an impossible number of steps, or an unknown word.
            WeightsError: another system is loaded than `method`.
        """
        on_progress = on_progress or _quiet
        check_likeness(likeness)
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
            on_image=on_image,
        )
        if refine:
            return self.refine(inversion, crop, refine, on_progress=on_progress, on_image=on_image)
        if not wants_first_likeness(likeness, self.generator, inversion):
            return inversion
        return first_likeness(
            self.generator,
            inversion,
            crop,
            seed=seed,
            on_step=lambda done, total: on_progress("likeness", done, total),
            on_image=on_image,
        )

    def refine(
        self,
        inversion: Inversion,
        crop: FaceCrop,
        config: RefineConfig | bool = True,
        *,
        on_progress: Progress | None = None,
        on_image: ImageCallback | None = None,
    ) -> Inversion:
        """Brings a finished inversion closer to its photo (see `RefineConfig`)."""
        report = on_progress or _quiet

        def on_step(progress: RefineProgress) -> None:
            if on_image is not None:
                on_image(progress.image)
            report("refine", min(99, int(100 * progress.fraction)), 100)

        report("refine", 0, 100)
        settings = config if isinstance(config, RefineConfig) else RefineConfig()
        refined = refining.refine(self.generator, inversion, crop, settings, on_step)
        report("refine", 100, 100)
        return refined

    def tune(
        self,
        inversion: Inversion,
        crop: FaceCrop,
        *,
        steps: int | None = None,
        config: PTIConfig | None = None,
        on_progress: Progress | None = None,
    ) -> Inversion:
        """Pivotal tuning after any system: brings the generator's weights to the photo, around the ws that were found.

        The published way (PTI) of coming close at the photo's own view; `refine` does more and guards other views.

        Args:
            inversion: of one photo; earlier tuning and a plane offset stay part of it.
            crop: that photo.
            steps: at most so many; default: 350, or the configuration's.
            config: learning rate, weights of the losses, when to stop.
            on_progress: called with ("tune", steps done, steps in all) now and then.

        Returns:
            The inversion with `generator_delta` (saved and rendered with it), its render, and `info["tune"]`.

        Raises:
            InputError: several photos, or no step.
            WeightsError: the inversion belongs to another generator.
            MissingDependencyError: neither LPIPS nor ST-LPIPS is there.
        """
        settings = config or PTIConfig()
        if steps is not None:
            settings = dataclasses.replace(settings, tune_steps=check_steps("tuning", steps))
        report = on_progress or _quiet
        return tune_generator(
            self.generator, inversion, crop.image, settings, on_step=lambda done, total: report("tune", done, total)
        )

    def render(self, inversion: Inversion, cameras: Camera, *, chunk: int = 0) -> Iterator[Render]:
        """One Render per camera; see `rendering.render`."""
        return render(self.generator, inversion, cameras, chunk=chunk)

    def frames(
        self, inversion: Inversion, cameras: Camera, *, side: int = 0, on_progress: Progress | None = None
    ) -> Iterator[UInt8[ndarray, "h w 3"]]:
        """The same as pictures; see `rendering.frames`."""
        return frames(self.generator, inversion, cameras, side=side, on_progress=on_progress)


def load(
    name: str | Path = "tiny",
    *,
    encoder: str | Path | None = None,
    method: MethodName | None = None,
    device: str | torch.device | None = None,
    precision: PrecisionName | Precision = "auto",
    weights_dirs: Sequence[str | Path] = (),
) -> Pipeline:
    """A ready pipeline.

    Args:
        name: the generator: "tiny", the model that comes with this package, a name of the catalogue, or a file.
        encoder: the same for the encoder (or TriPlaneNet); by default the one that goes by `name`, or by `method`.
        method: the system wanted: "3dpsp", "psp", "e4e", "triplanenet-v1", "triplanenet-v2" or "pti" (which needs no
            weights of its own); default: what the encoder's file holds.
        device: default: CUDA if there, else MPS, else CPU.
        precision: in which types networks compute: "float32"; "bfloat16"; "float16" (cards only); "auto", what is
            fast and close enough here (see `resolve_precision`).
        weights_dirs: folders that are searched first (see `find_weights`).

    Raises:
        WeightsError: a file is missing, damaged, or they do not belong together.
        InputError: this machine has no such device, or the device does not do that precision.
    """
    generator = load_generator(name, device=device, precision=precision, weights_dirs=weights_dirs)
    return Pipeline(generator, load_system(generator, name, encoder=encoder, method=method, weights_dirs=weights_dirs))


def prepare(
    photo: PhotoSource | PreparedPhoto,
    *,
    face: FaceChoice = "largest",
    size: int = 512,
    pose: PoseName = "mediapipe",
    deep3d_weights: str | Path | None = None,
    conf_map: ConfidenceSource = "builtin",
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
        conf_map: where the uncertainty of the flip comes from: "builtin", our own estimate; or "unsup3d", the network
            of the published work, `checkpoint030.pth` in the search path. One stored with a prepared crop goes first.
        weights_dirs: folders that are searched first (see `find_weights`).

    Raises:
        NoFaceError: no usable face.
        InputError: not a readable photo.
        WeightsError: the file of Deep3D or of unsup3d's network is missing or damaged.
    """
    sigma_backend = confidence_network(conf_map, weights_dirs)
    if isinstance(photo, PreparedPhoto):
        return load_prepared(photo, sigma_backend=sigma_backend)
    deep3d = pose_network(pose, deep3d_weights, weights_dirs)
    return prepare_photo(
        photo,
        face=face,
        size=size,
        border="mirror",
        with_mirror_sigma=True,
        sigma_backend=sigma_backend,
        deep3d=deep3d,
    )


def _quiet(stage: str, done: int, total: int) -> None:
    """Reports nothing."""
