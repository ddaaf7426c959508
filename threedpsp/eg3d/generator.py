"""EG3D's generator: connects mapping, backbone, renderer and super-resolution; no arithmetic of its own."""

from __future__ import annotations

import copy
import hashlib
import json

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..camera import Camera
from ..errors import InputError
from ..kernels import Implementation
from ..precision import FLOAT32, Precision
from ..types import Render, TriPlanes
from .backbone import Backbone
from .config import GeneratorConfig, RenderConfig
from .decoder import Decoder
from .layers import NoiseMode
from .rays import camera_rays
from .renderer import over_background, render_rays
from .superresolution import Superresolution


class Generator(nn.Module):
    """ws -> TriPlanes (once per latent) -> Render (once per camera). Deterministic unless told otherwise."""

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self.superresolution = Superresolution(config)
        self.decoder = Decoder(config)
        self._fingerprint: str | None = None
        self.precision = FLOAT32

    @property
    def precision(self) -> Precision:
        """In which types its convolutions run, and those of the encoder that belongs to it; weights stay float32."""
        return self._precision

    @precision.setter
    def precision(self, precision: Precision) -> None:
        self._precision = precision
        self.backbone.synthesis.dtype = precision.backbone
        self.superresolution.dtype = precision.superresolution

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.backbone.mapping.w_avg.device

    @property
    def frontal_camera(self) -> Camera:
        """The camera that conditions and averages, where its own cameras stand, on its device."""
        return self.config.camera_sphere.frontal().to(self.device)

    @property
    def fingerprint(self) -> str:
        """16 hex digits of the config and the weights; computed at first use (`reset_fingerprint` after training)."""
        if self._fingerprint is None:
            digest = hashlib.sha256(json.dumps(self.config.to_dict(), sort_keys=True).encode())
            for name, value in sorted(self.state_dict().items()):
                digest.update(name.encode())
                digest.update(value.detach().to("cpu", torch.float16).contiguous().numpy().tobytes())
            self._fingerprint = digest.hexdigest()[:16]
        return self._fingerprint

    def reset_fingerprint(self) -> None:
        """Forget the fingerprint, because the weights changed."""
        self._fingerprint = None

    def mapping(
        self,
        z: Float[Tensor, "n z"],
        conditioning_camera: Camera,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Float[Tensor, "n l w"]:
        """Z [N,z_dim] -> ws [N,L,w_dim]. The conditioning camera is not the camera that renders."""
        label = conditioning_camera.expand(z.shape[0]).label.to(z)
        return self.backbone.mapping(z, label, truncation_psi, truncation_cutoff)

    def planes(
        self,
        ws: Float[Tensor, "n l w"],
        noise_mode: NoiseMode = "const",
        generator: torch.Generator | None = None,
    ) -> TriPlanes:
        """Ws [N,L,w_dim] -> planes; independent of the camera, so make them once and pass them on.

        Raises:
            InputError: ws has another shape than this generator's.
        """
        expected = (self.config.num_ws, self.config.w_dim)
        if tuple(ws.shape[1:]) != expected:
            raise InputError(
                f"ws must be [N,{expected[0]},{expected[1]}] for this generator; got {list(ws.shape)}. "
                "Was it made with another generator?"
            )
        return self.backbone(ws, noise_mode, generator)

    def render(
        self,
        planes: TriPlanes,
        ws: Float[Tensor, "k l w"],
        camera: Camera,
        *,
        neural_rendering_resolution: int | None = None,
        rendering: RenderConfig | None = None,
        jitter: Tensor | None = None,
        u: Tensor | None = None,
        generator: torch.Generator | None = None,
        implementation: Implementation = "auto",
    ) -> Render:
        """Images of the planes from N cameras (planes and ws of one latent serve all of them).

        neural_rendering_resolution and rendering: for this call only. jitter, u: [N,M,S]; a `generator` draws them
        at random; neither: deterministic mid-points.
        """
        n = max(len(camera), len(planes))
        camera, planes = camera.expand(n).to(ws.device), planes.expand(n)
        ws = ws.expand(n, -1, -1)
        side = neural_rendering_resolution or self.config.neural_rendering_resolution
        out = render_rays(
            planes,
            self.decoder.mlp(),
            camera_rays(camera, side),
            rendering or self.config.rendering,
            jitter=jitter,
            u=u,
            generator=generator,
            implementation=implementation,
        )
        features = out.features.transpose(1, 2).reshape(n, -1, side, side)
        depth, opacity = (t.reshape(n, 1, side, side) for t in (out.depth, out.opacity))
        if planes.background is not None:
            features = over_background(features, opacity, planes.background)
        image_raw = features[:, :3]
        return Render(self.superresolution(image_raw, features, ws), image_raw, depth, opacity)

    def synthesis(self, ws: Float[Tensor, "n l w"], camera: Camera, noise_mode: NoiseMode = "const") -> Render:
        """Planes and one render of each."""
        return self.render(self.planes(ws, noise_mode), ws, camera)

    def with_delta(self, delta: dict[str, Tensor]) -> Generator:
        """A copy whose named parameters have `delta` added (a tuned generator of one photo).

        Raises:
            InputError: a name or a shape that this generator does not have.
        """
        tuned = copy.deepcopy(self)
        parameters = dict(tuned.named_parameters())
        with torch.no_grad():
            for name, value in delta.items():
                if name not in parameters or parameters[name].shape != value.shape:
                    raise InputError(f"The tuned weights do not fit this generator: {name} {list(value.shape)}.")
                parameters[name].add_(value.to(parameters[name]))
        return tuned
