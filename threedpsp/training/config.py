"""The choices of the tiny model's training, with the preset that makes the embedded weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from .descent_config import DescentTraining
from .encoders.config import TrainingPrecision


@dataclass(frozen=True)
class JointConfig:
    """Generator and encoder trained together on portraits.

    Stages by optimizer steps: `coarse` (a latent of its own for each portrait, 32-pixel rays, geometry first),
    `handover` (half of each batch goes over from those latents to the encoder's), then both halves until `steps`.
    Everything drawn at random follows from the seed and the step, so a run resumes with any number of workers.
    """

    people: Path
    """The bundle that `python -m threedpsp.training.portraits` wrote."""
    output: Path
    """Folder for checkpoints, contact sheets and the log; training resumes from it."""
    made_up: Path | None = None
    """A second bundle, of people made up from the first's; the encoder's half of the batch sees these too."""
    validation: Path | None = None
    """A third one, of other people; measured now and then, never trained on."""
    loss_networks: Path | None = None
    """What `python -m threedpsp.training.loss_networks` wrote; default: the installed packages'."""
    init: str = ""
    """Weights to start from: "tiny", or a folder with generator.safetensors and encoder.safetensors of the same or a
    smaller shape. The first stages are then left out. Empty: from nothing."""
    device: str = ""
    """Default: CUDA if there, else MPS, else CPU."""
    precision: TrainingPrecision = "float32"
    """In which types networks compute; weights, their updates and the sums of losses are float32 in any case."""
    steps: int = 12000
    """Optimizer steps in all."""
    coarse_steps: int = 600
    """Steps at 32 pixels."""
    encoder_start: int = 1200
    """The encoder starts to learn the portraits' own latents."""
    handover_start: int = 2000
    handover_end: int = 2800
    """Between these steps the share of the encoder in its half of the batch grows from 0 to 1."""
    samples: int = 14
    """Coarse samples a ray, and as many fine ones; jittered, so fewer than at inference will do."""
    own_batch: int = 2
    """Portraits of a step, over all workers, that are rendered from their own latents."""
    encoder_batch: int = 2
    """Portraits of a step, over all workers, that are rendered from the encoder's latents."""
    large_share: float = 0.5
    """Share of people with a large photo among those drawn; the others have 128 pixels of true detail."""
    made_up_share: float = 0.5
    """Share of made-up people in the encoder's half, where there are any."""
    generator_lr: float = 3e-3
    encoder_lr: float = 7e-4
    latent_lr: float = 2e-2
    decoder_lr_factor: float = 2.0
    """The decoder learns faster, because densities must grow to hundreds."""
    decay_share: float = 0.28
    """Learning rates fall to zero over this last share of the steps."""
    perceptual_weight: float = 1.5
    features_weight: float = 1.0
    """The perceptual term for eyes and mouth, enlarged."""
    identity_weight: float = 0.2
    mirror_weight: float = 0.3
    novel_weight: float = 0.1
    """Identity from a camera up to 30 degrees away."""
    roughness_weight: float = 0.02
    """Second differences of the planes, in their standard deviations: against stripes, and cells that no ray saw."""
    save_minutes: float = 10.0
    """Time between checkpoints."""
    report_minutes: float = 30.0
    """Training time between contact sheets with figures."""
    descent: DescentTraining = field(default_factory=DescentTraining)
    """The stage after these, in which the descent on planes learns."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.own_batch < 1 or self.encoder_batch < 1:
            raise InputError(
                f"Both halves of a batch need at least one portrait; got {self.own_batch} and {self.encoder_batch}."
            )
        if not self.coarse_steps <= self.encoder_start <= self.handover_start <= self.handover_end <= self.steps:
            raise InputError(
                "The stages must follow each other: coarse_steps, encoder_start, handover_start, handover_end, steps; "
                f"got {self.coarse_steps}, {self.encoder_start}, {self.handover_start}, {self.handover_end}, "
                f"{self.steps}."
            )
