"""The choices that make a generator; one implementation serves every size."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from ..camera import PIVOT, RADIUS, CameraSphere
from ..errors import InputError

PlaneAxes = Literal["xy_xz_zx", "xy_xz_zy"]


@dataclass(frozen=True)
class SuperresolutionShape:
    """What distinguishes one published super-resolution module from another."""

    img_resolution: int
    sr_resolution: int
    sr_up: tuple[bool, bool]
    sr_channels: tuple[int, int]


SUPERRESOLUTION = {
    "8XDC": SuperresolutionShape(512, 128, (True, True), (256, 128)),
    "8X": SuperresolutionShape(512, 128, (True, True), (128, 64)),
    "4X": SuperresolutionShape(256, 128, (False, True), (128, 64)),
    "Deepfp32": SuperresolutionShape(256, 128, (False, True), (128, 64)),
    "2X": SuperresolutionShape(128, 64, (False, True), (128, 64)),
}
"""The published modules, each by the end of its name; that of `SuperresolutionHybrid8XDC` is an example."""

ADDED_LATER = ("conv_clamp", "decoder_lr_mul", "clip_to_box", "min_transmittance")
"""Settings that older files do not have; left out of `to_dict` at their default, so that fingerprints stay."""


@dataclass(frozen=True)
class RenderConfig:
    """How rays are sampled and composited."""

    ray_start: float | Literal["auto"] = 2.25
    """Nearest depth along the ray, world units; "auto" intersects the ray with the box."""
    ray_end: float | Literal["auto"] = 3.3
    """Farthest depth along the ray, world units."""
    depth_resolution: int = 48
    """Coarse samples per ray."""
    depth_resolution_importance: int = 48
    """Fine samples per ray, drawn where the coarse ones found density; 0 = none."""
    box_warp: float = 1.0
    """Side of the cube the planes span, world units."""
    disparity_space_sampling: bool = False
    """Space the coarse samples evenly in 1/depth."""
    white_back: bool = False
    """Put white behind the head."""
    clip_to_box: bool = False
    """End numeric bounds where the ray enters and leaves the box. EG3D does not; what lies outside is then a smear."""
    min_transmittance: float = 0.0
    """Samples that a smaller share of the light reaches may be left out: faster, see `eg3d_kernels.render_rays`."""
    depth_clamp: Literal["image", "batch"] = "image"
    """Clamp depth to the sampled range of each image, or of the whole batch as EG3D does."""

    def __post_init__(self) -> None:
        if (self.ray_start == "auto") != (self.ray_end == "auto"):
            raise InputError("ray_start and ray_end: both numbers, or both 'auto'.")
        if self.ray_start != "auto" and self.ray_end != "auto" and not self.ray_start < self.ray_end:
            raise InputError(f"ray_start must be less than ray_end; got {self.ray_start} and {self.ray_end}.")
        if not 0 < self.box_warp < math.inf:
            raise InputError(f"box_warp must be greater than 0; got {self.box_warp}.")
        if self.depth_resolution < 2:
            raise InputError(f"depth_resolution must be at least 2; got {self.depth_resolution}.")
        if not 0 <= self.min_transmittance < 1:
            raise InputError(f"min_transmittance must be at least 0 and below 1; got {self.min_transmittance}.")


@dataclass(frozen=True)
class GeneratorConfig:
    """Sizes of mapping, backbone, decoder, renderer and super-resolution."""

    z_dim: int = 512
    w_dim: int = 512
    c_dim: int = 25
    mapping_layers: int = 2
    img_resolution: int = 512
    """Side of the final image in pixels."""
    channel_base: int = 32768
    """A backbone layer at resolution r has min(channel_base / r, channel_max) channels."""
    channel_max: int = 512
    start_resolution: int = 4
    """Side of the learned constant the backbone starts from."""
    plane_resolution: int = 256
    plane_channels: int = 32
    plane_axes: PlaneAxes = "xy_xz_zx"
    backbone_noise: bool = True
    """Per-pixel noise in the backbone."""
    conv_clamp: float | None = None
    """Activations of the backbone are clamped to +- this (published models: not)."""
    decoder_hidden: int = 64
    decoder_lr_mul: float = 1.0
    """The decoder's weights and biases are multiplied by this when used (published models: 1)."""
    neural_rendering_resolution: int = 128
    """Side of the volume-rendered image."""
    sr_resolution: int = 128
    """Side that super-resolution takes; other sides are resized to it."""
    sr_up: tuple[bool, bool] = (True, True)
    """Whether each of its two blocks doubles the side."""
    sr_channels: tuple[int, int] = (256, 128)
    sr_antialias: bool = True
    sr_conv_clamp: float | None = 256.0
    """Activations of super-resolution are clamped to +- this."""
    sr_noise: bool = False
    """Per-pixel noise in super-resolution (published models: none)."""
    c_scale: float = 1.0
    c_gen_conditioning_zero: bool = False
    camera_radius: float = RADIUS
    """Distance of the cameras from the world origin, world units."""
    camera_pivot: tuple[float, float, float] = PIVOT
    """The point that the cameras look at, world units."""
    background: Literal["none", "screen"] = "none"
    """"screen": the backbone also makes a background that stays put while the head turns."""
    rendering: RenderConfig = RenderConfig()

    def __post_init__(self) -> None:
        for name in ("start_resolution", "plane_resolution", "img_resolution"):
            value = vars(self)[name]
            if value < 4 or value & (value - 1):
                raise InputError(f"{name} must be a power of two, at least 4; got {value}.")
        made = self.sr_resolution * 2 ** sum(self.sr_up)
        if made != self.img_resolution:
            raise InputError(
                f"super-resolution makes {made} pixels from sr_resolution {self.sr_resolution}, "
                f"but img_resolution is {self.img_resolution}."
            )

    @property
    def camera_sphere(self) -> CameraSphere:
        """Where this generator's cameras stand and look."""
        return CameraSphere(self.camera_radius, self.camera_pivot)

    @property
    def block_resolutions(self) -> list[int]:
        """Sides of the backbone's blocks, smallest first."""
        first, last = int(math.log2(self.start_resolution)), int(math.log2(self.plane_resolution))
        return [2**i for i in range(first, last + 1)]

    @property
    def num_ws(self) -> int:
        """Rows of ws: two convolutions a block (one in the first), and the last block's torgb."""
        return 2 * len(self.block_resolutions)

    @property
    def backbone_channels(self) -> int:
        """Channels the backbone returns: three planes, and the background if there is one."""
        return self.plane_channels * (4 if self.background == "screen" else 3)

    def channels(self, resolution: int) -> int:
        """Channels of the backbone's layers at a resolution."""
        return min(self.channel_base // resolution, self.channel_max)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON-able values."""
        values = dataclasses.asdict(self)
        for owner, settings in ((self, values), (self.rendering, values["rendering"])):
            for field in dataclasses.fields(owner):
                if field.name in ADDED_LATER and settings[field.name] == field.default:
                    del settings[field.name]
        return values

    @staticmethod
    def from_dict(values: dict[str, Any]) -> GeneratorConfig:
        """From `to_dict()` after JSON.

        Raises:
            InputError: an unknown name, or values that do not fit together.
        """
        known = {f.name for f in dataclasses.fields(GeneratorConfig)}
        if unknown := sorted(set(values) - known):
            raise InputError(f"Unknown generator setting(s): {', '.join(unknown)}.")
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        values["rendering"] = RenderConfig(**values.get("rendering", {}))
        return GeneratorConfig(**values)

    def with_superresolution(self, module: str) -> GeneratorConfig:
        """The same with another published super-resolution: 8XDC or 8X (512 pixels), 4X (256), 2X (128).

        Raises:
            InputError: there is no such module.
        """
        if module not in SUPERRESOLUTION:
            raise InputError(f"Super-resolution is one of {', '.join(SUPERRESOLUTION)}; got {module!r}.")
        return dataclasses.replace(self, **dataclasses.asdict(SUPERRESOLUTION[module]))

    @staticmethod
    def ffhq512_128() -> GeneratorConfig:
        """The published generator ffhq512-128: it makes faces that are aligned like those of its data set."""
        return GeneratorConfig()

    @staticmethod
    def ffhqrebalanced512_128() -> GeneratorConfig:
        """The published ffhqrebalanced512-128: the same network, trained with more faces seen from the side."""
        return GeneratorConfig()

    @staticmethod
    def ffhq512_64() -> GeneratorConfig:
        """The published generator ffhq512-64, whose images are volume-rendered at 64 pixels a side."""
        return GeneratorConfig(neural_rendering_resolution=64)

    @staticmethod
    def afhqcats512_128() -> GeneratorConfig:
        """The published afhqcats512-128: cats, whose cameras look at a point behind the origin."""
        return GeneratorConfig(camera_pivot=(0.0, 0.0, -0.06))

    @staticmethod
    def shapenetcars128_64() -> GeneratorConfig:
        """The published generator shapenetcars128-64: whole cars on white, 128 pixels wide, no conditioning camera."""
        return GeneratorConfig(
            neural_rendering_resolution=64,
            c_gen_conditioning_zero=True,
            camera_radius=1.7,
            camera_pivot=(0.0, 0.0, 0.0),
            rendering=RenderConfig(
                ray_start=0.1,
                ray_end=2.6,
                depth_resolution=64,
                depth_resolution_importance=64,
                box_warp=1.6,
                white_back=True,
            ),
        ).with_superresolution("2X")

    @staticmethod
    def tiny() -> GeneratorConfig:
        """The embedded model: the same network, small enough for a laptop's CPU."""
        return GeneratorConfig(
            z_dim=256,
            w_dim=512,
            img_resolution=128,
            channel_base=4096,
            channel_max=256,
            start_resolution=16,
            plane_resolution=128,
            plane_channels=16,
            plane_axes="xy_xz_zy",
            decoder_hidden=32,
            neural_rendering_resolution=128,
            sr_resolution=128,
            sr_up=(False, False),
            sr_channels=(32, 32),
            backbone_noise=False,
            background="screen",
            rendering=RenderConfig(
                ray_start=2.36,
                ray_end=3.06,
                depth_resolution=20,
                depth_resolution_importance=20,
                box_warp=0.9,
                clip_to_box=True,
            ),
        )

    @staticmethod
    def tiny_256() -> GeneratorConfig:
        """The embedded model's next shape: super-resolution to 256 pixels."""
        return dataclasses.replace(
            GeneratorConfig.tiny(), img_resolution=256, sr_up=(False, True), sr_channels=(32, 24)
        )
