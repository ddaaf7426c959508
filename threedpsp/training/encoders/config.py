"""The choices of a training, all in one frozen value, whose fields are also the flags of `threedpsp train`."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ...errors import InputError

TrainedMethod = Literal["3dpsp", "psp", "e4e", "triplanenet-v1", "triplanenet-v2"]
TrainingPrecision = Literal["auto", "float32", "bfloat16"]
"""float16 is left out: its smallest numbers are larger than many gradients."""
NetworkSize = Literal["full", "tiny", "smallest"]
CONFIG_FILE = "config.json"
MAY_CHANGE = {
    *("output", "device", "steps", "max_seconds", "workers", "patience", "tensorboard", "log_every", "keep_last"),
    *("save_every", "validate_every", "panels_every", "panel_photos", "weights_dir", "compile", "checkpointing"),
}
"""Settings that a resumed run may have otherwise than the stopped one: they do not change what a step does."""


@dataclass(frozen=True)
class TrainConfig:
    """A training of one encoder; the defaults are those of the published 3DpSp."""

    output: Path = Path("runs/encoder")
    """Folder for checkpoints, logs and pictures; the same command resumes what stopped there."""
    photos: Path | None = None
    """Folder or zip that 'threedpsp prepare' made (or EG3D's); none: only faces that the generator renders."""
    mirrored: Literal["stored", "added", "none"] = "stored"
    """Mirrored copies of the photos: those that the folder has; one of each, made on the fly; none."""
    augment: bool = False
    """Each photo looks otherwise each time: light, colour and sharpness, and a face a little wider or longer."""
    validation: Path | None = None
    """Folder or zip of photos to validate on; none: faces that the generator renders, never trained on."""
    method: TrainedMethod = "3dpsp"
    """The system to train."""
    size: NetworkSize = "full"
    """full: the published networks; tiny: the embedded encoder's trunk; smallest: only to try the command."""
    generator: str = "tiny"
    """The frozen generator: tiny, a file, or a name that 'threedpsp weights list' shows."""
    weights_dir: Path | None = None
    """A folder with weights, searched before the others."""
    device: str = "auto"
    """cpu, cuda, mps, or auto; under 'accelerate launch' each process gets its own GPU."""
    seed: int = 0
    """Decides new weights, the order of the photos, and the rendered faces."""

    steps: int = 500_000
    """Optimizer steps in all."""
    max_seconds: float = 0.0
    """Stop after so many seconds of training, resumed runs included; 0: no limit."""
    batch: int = 4
    """Photos of an optimizer step, over all processes."""
    accumulation: int = 1
    """Parts that each process computes its share of the batch in, one after another, to save memory."""
    n_iters: int = 5
    """ReStyle steps for each photo (3dpsp); gradients add up, the optimizer steps once after all."""
    learning_rate: float = 1e-4
    """Of Ranger."""
    eps: float = 1e-5
    """Of Ranger: gradients far below it hardly move a weight, whatever the learning rate."""
    beta2: float = 0.999
    """Of Ranger: decay of the mean squared gradient. It also warms up by that: at .999 it takes about 2,000 steps."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from 0."""
    decay: bool = False
    """Lower the learning rate to 0 by a cosine over all steps."""
    clip_norm: float = 0.0
    """Shrink gradients to this length at most; 0: as they are."""
    ema_decay: float = 0.999
    """Of the running mean of the weights, which is what validation measures and checkpoints publish; 0: none."""
    batch_norm: Literal["batch", "running", "sync"] = "batch"
    """Statistics of batch normalisation: of each process's part of the batch; the running ones (not adapted);
    or over all processes (CUDA only)."""

    init: str | None = None
    """Start from the weights of this encoder (a file)."""
    irse50: str | None = None
    """Start the trunk from ArcFace's IR-SE50: a file, or 'arcface' for model_ir_se50.pth in the search path."""
    trunk: str | None = None
    """Start the trunk from that of this encoder, whatever its method: a file, or a name that 'threedpsp weights list'
    shows. The heads are new."""
    latent_avg_samples: int = 100_000
    """Samples for the mean latent that encoders start from."""

    rendered_share: float = 0.0
    """Part of the faces that the generator renders itself, with exact cameras: 0..1; without photos always 1."""
    truncation: float = 0.9
    """How far rendered faces may be from the mean: 0 = the mean itself, 1 = all that the generator knows."""
    yaw_std: float = 15.0
    """Standard deviation of the cameras of rendered faces to the sides, degrees."""
    pitch_std: float = 6.0
    """The same up and down, degrees."""
    exact_second_view: bool = True
    """For rendered faces, the mirror view is compared with the true view from there, not with the flipped picture."""
    missing_sigma: Literal["stop", "certain"] = "stop"
    """Photos without an uncertainty of their flip (conf_map), where mirror terms need it: an error, or all certain."""
    workers: int = 2
    """Processes that load photos; 0: the training itself loads them."""

    render_side: int = 0
    """Rays a side of the renders that training judges; 0: the generator's own. Fewer are faster and blur a little;
    validation always has the generator's own."""
    loss_side: int = 0
    """Pixels a side at which pictures are compared; 0: the published side of the method, or the generator's."""
    l2_weight: float | None = None
    """Of the squared error. This and the following: none = the method's published weight."""
    perceptual_weight: float | None = None
    """Of LPIPS, or of ST-LPIPS in its place."""
    identity_weight: float | None = None
    """Of the identity distance."""
    mirror_weight: float | None = None
    """Factor on all terms of the mirror view; 0: no mirror view."""
    published_mirror_lpips: bool = False
    """As the published code does: compare the front view, not the mirror view, with the flipped photo in LPIPS."""
    perceptual: Literal["auto", "lpips", "st-lpips"] = "auto"
    """auto: LPIPS if its files are there, else ST-LPIPS."""
    identity: Literal["auto", "arcface", "dlib"] = "auto"
    """auto: ArcFace if its file is there, else dlib's network."""
    stage_start: int = 20_000
    """e4e: step at which the second row opens. TriPlaneNet: step at which its branch starts."""
    stage_every: int = 2_000
    """e4e: steps between one row and the next."""

    precision: TrainingPrecision = "float32"
    """The type that networks compute with; auto: what is fast on the device (on a card bfloat16 for the network that
    is trained). The weights, their updates and the sums of losses stay in float32."""
    checkpointing: bool = False
    """Compute encoder and planes again in the backward pass instead of keeping what they need: less memory."""
    compile: bool = False
    """torch.compile the trained networks."""
    tf32: bool = True
    """CUDA: products of float32 in TF32."""
    deterministic: bool = False
    """Only operations that give the same bits each time (CUDA; the CPU does so anyway with one thread)."""

    log_every: int = 50
    """Steps between progress lines."""
    save_every: int = 2_500
    """Steps between checkpoints."""
    keep_last: int = 2
    """Checkpoints kept, beside the best."""
    validate_every: int = 2_500
    """Steps between validations."""
    validation_rendered: int = 32
    """Rendered faces to validate on where there are no photos for it."""
    patience: int = 0
    """Stop after so many validations without a better one; 0: never."""
    panels_every: int = 2_500
    """Steps between pictures of what the encoder makes of some photos."""
    panel_photos: int = 4
    """Photos in such a picture."""
    tensorboard: bool = False
    """Also log for TensorBoard."""

    def __post_init__(self) -> None:
        positive = ("steps", "batch", "accumulation", "n_iters", "log_every", "save_every", "validate_every")
        for name in (*positive, "keep_last", "panels_every", "panel_photos", "stage_every", "latent_avg_samples"):
            if vars(self)[name] < 1:
                raise InputError(f"{_flag(name)} must be 1 or more; got {vars(self)[name]}.")
        sizes = ("loss_side", "render_side", "validation_rendered")
        for name in ("workers", "warmup_steps", "patience", "stage_start", *sizes):
            if vars(self)[name] < 0:
                raise InputError(f"{_flag(name)} must be 0 or more; got {vars(self)[name]}.")
        for name in ("rendered_share", "truncation"):
            if not 0 <= vars(self)[name] <= 1:
                raise InputError(f"{_flag(name)} lies between 0 and 1; got {vars(self)[name]}.")
        if not 0 <= self.ema_decay < 1:
            raise InputError(f"--ema-decay is at least 0 and below 1; got {self.ema_decay}.")
        if not 0 <= self.beta2 < 1:
            raise InputError(f"--beta2 is at least 0 and below 1; got {self.beta2}.")
        for name in ("learning_rate", "eps"):
            if not vars(self)[name] > 0:
                raise InputError(f"{_flag(name)} must be above 0; got {vars(self)[name]}.")
        if self.batch % self.accumulation:
            raise InputError(f"--batch {self.batch} cannot be divided into --accumulation {self.accumulation} parts.")
        for name in ("l2_weight", "perceptual_weight", "identity_weight", "mirror_weight"):
            if (vars(self)[name] or 0) < 0:
                raise InputError(f"{_flag(name)} must be 0 or more; got {vars(self)[name]}.")

    def to_json(self) -> str:
        """As text for `from_json`."""
        values = {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(self).items()}
        return json.dumps(values, indent=1) + "\n"

    @staticmethod
    def from_json(text: str) -> TrainConfig:
        """From `to_json()`.

        Raises:
            InputError: not JSON, an unknown name, or values that make no sense.
        """
        try:
            values: Any = json.loads(text)
        except ValueError as error:
            raise InputError(f"The training's configuration is not JSON ({error}).") from error
        if isinstance(values, dict) and "bf16" in values:  # its older name
            values["precision"] = "bfloat16" if values.pop("bf16") else "float32"
        known = {f.name for f in dataclasses.fields(TrainConfig)}
        if not isinstance(values, dict) or set(values) - known:
            raise InputError("The training's configuration has settings that this version does not know.")
        paths = ("output", "photos", "validation", "weights_dir")
        arguments: dict[str, Any] = {k: Path(v) if k in paths and v is not None else v for k, v in values.items()}
        return TrainConfig(**arguments)

    def check_resumes(self, stopped: TrainConfig) -> None:
        """Refuse to go on with settings that would make it another training.

        Raises:
            InputError: names the settings that differ.
        """
        own, other = (json.loads(c.to_json()) for c in (self, stopped))
        differ = [name for name in own if own[name] != other[name] and name not in MAY_CHANGE]
        if differ:
            shown = ", ".join(f"{_flag(name)} {other[name]} (now {own[name]})" for name in differ)
            raise InputError(
                f"{self.output} holds a training with other settings: {shown}. Use the same settings to resume it, "
                "or another --output for a new one."
            )

    @staticmethod
    def a100_ffhq512() -> TrainConfig:
        """The published training of the encoder on the data set FFHQ at 512 pixels a side, made to fit one A100."""
        return TrainConfig(
            output=Path("runs/3dpsp"),
            generator="ffhqrebalanced512-128",
            precision="auto",
            checkpointing=True,
            workers=8,
        )

    @staticmethod
    def tiny_cpu() -> TrainConfig:
        """An encoder for the embedded generator in about an hour on a CPU, from rendered faces alone if need be."""
        return TrainConfig(
            output=Path("runs/tiny-encoder"),
            size="tiny",
            steps=1_000,
            render_side=64,
            n_iters=3,
            learning_rate=4e-3,
            eps=1e-8,
            beta2=0.99,
            warmup_steps=50,
            decay=True,
            clip_norm=5.0,
            ema_decay=0.99,
            latent_avg_samples=10_000,
            stage_start=150,
            stage_every=30,
            save_every=100,
            validate_every=250,
            panels_every=100,
            log_every=10,
            workers=0,
            missing_sigma="certain",
        )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


PRESETS = {"a100_ffhq512": TrainConfig.a100_ffhq512(), "tiny_cpu": TrainConfig.tiny_cpu()}
"""Settings that go together, by the name that the command line knows."""
