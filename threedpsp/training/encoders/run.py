"""`threedpsp train`: puts generator, network, judges and data together and trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from ...device import available_threads
from ...eg3d.generator import Generator
from ...errors import InputError
from ...output import atomic_write
from ...preprocessing.dataset import FaceDataset, Mirrored
from ...weights.load import load_inverter
from ...weights.search import find_weights
from ...weights.systems import identity_network, load_generator
from .batches import FaceStream, check_set
from .comparison import load_judges
from .config import CONFIG_FILE, TrainConfig
from .latent_terms import LatentCritic
from .loss_weights import branch_weights, loss_weights, needs_mirror
from .networks import Trained, build_trained, start_from, start_from_irse50, start_from_trunk
from .passes import Passes
from .photos import CheckedPhotos, PhotoSet
from .processes import Processes
from .rendered import RenderedFaces
from .trainer import Report, Trainer, TrainResult
from .validation import ValidationSet

OpenPhotos = Callable[[Path], PhotoSet]


def train(config: TrainConfig, report: Report, open_photos: OpenPhotos | None = None) -> TrainResult:
    """Trains until the configuration's end, from where an earlier run in the same folder stopped.

    Args:
        config: everything there is to choose.
        report: called with lines for the person, in the main process alone.
        open_photos: folder or zip -> its photos; default: `preprocessing.dataset.FaceDataset`.

    Raises:
        InputError: settings or data that cannot be used; says which and what to do.
        WeightsError: a weights file is missing, damaged, or belongs to something else.
        MissingDependencyError: Accelerate, or something that was asked for, is not installed.
        OutputError: the output folder cannot be written.
    """
    processes = Processes(config)
    try:
        return _trainer(config, processes, report, open_photos).run()
    finally:
        processes.end()


def _trainer(config: TrainConfig, processes: Processes, report: Report, open_photos: OpenPhotos | None) -> Trainer:
    _prepare_output(config, processes)
    _settings(config, processes)
    folders = () if config.weights_dir is None else (config.weights_dir,)
    generator = load_generator(
        config.generator, device=processes.device, precision=processes.precision, weights_dirs=folders
    )
    side = generator.config.img_resolution
    weights = loss_weights(config, side)
    branch = branch_weights(config, side)
    judged = [weights, *([] if branch is None else [branch])]
    judges = load_judges(config, judged, processes.device, processes.precision)
    network = _network(config, generator)
    mirror = needs_mirror(config, side)
    stream, validation = _data(config, generator, weights.side, mirror, open_photos)
    critic = LatentCritic(generator, config.seed) if config.method == "e4e" else None
    passes = Passes(config, generator, judges, critic)
    trainer = Trainer(config, processes, network, passes, stream, validation, report)
    size = sum(p.numel() for p in network.parameters()) / 1e6
    trainer.report(
        f"{config.method}, {size:.1f} M parameters, {processes.count} process(es) on {processes.device}, "
        f"{processes.precision.name}; pictures compared at {weights.side} pixels; perceptual: "
        f"{judges.names['perceptual']}; identity: {judges.names['identity']}; {len(stream.photos or ())} photos, "
        f"rendered share {stream.rendered_share:g}"
    )
    return trainer


def _settings(config: TrainConfig, processes: Processes) -> None:
    """Switches of torch."""
    torch.set_num_threads(min(torch.get_num_threads(), available_threads()))
    torch.manual_seed(config.seed)
    if processes.device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = config.tf32
        torch.backends.cudnn.allow_tf32 = config.tf32
    if config.deterministic:
        torch.use_deterministic_algorithms(True, warn_only=True)


def _prepare_output(config: TrainConfig, processes: Processes) -> None:
    """The folder with the configuration; refuses a folder of another training."""
    path = config.output / CONFIG_FILE
    if path.is_file():
        config.check_resumes(TrainConfig.from_json(path.read_text(encoding="utf-8")))
    processes.wait()
    if processes.is_main:
        config.output.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_text(config.to_json(), encoding="utf-8")
    processes.wait()


def _network(config: TrainConfig, generator: Generator) -> Trained:
    """New, or from where the configuration says."""
    network = build_trained(config, generator)
    folders = () if config.weights_dir is None else (config.weights_dir,)
    if sum(start is not None for start in (config.init, config.irse50, config.trunk)) > 1:
        raise InputError("--init, --irse50 and --trunk all say where the weights start; choose one.")
    if config.trunk is not None:
        start_from_trunk(network, load_inverter(find_weights(config.trunk, folders), generator))
    if config.init is not None:
        method = config.method if config.method in ("psp", "e4e") else None
        start_from(network, load_inverter(config.init, generator, method=method))
    if config.irse50 is not None:
        arcface = identity_network("arcface", folders, None if config.irse50 == "arcface" else config.irse50)
        if arcface is not None:
            start_from_irse50(network, arcface)
    if config.batch_norm == "sync":
        network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return network


def _data(
    config: TrainConfig, generator: Generator, side: int, mirror: bool, open_photos: OpenPhotos | None
) -> tuple[FaceStream, ValidationSet]:
    """What is learned from, and what is measured on."""

    def checked(path: Path, mirrored: Mirrored) -> CheckedPhotos:
        certain = config.missing_sigma == "certain"
        if open_photos is not None:
            photos = open_photos(path)
        else:
            photos = FaceDataset(path, resolution=side, mirrored=mirrored, need_mirror_sigma=mirror and not certain)
        return CheckedPhotos(photos, side, mirror, certain)

    def rendered(purpose: str) -> RenderedFaces:
        return RenderedFaces(
            generator, side, config.seed, purpose,
            config.truncation, config.yaw_std, config.pitch_std, mirror, config.exact_second_view,
        )  # fmt: skip

    photos = None if config.photos is None else checked(config.photos, config.mirrored)
    if photos is not None and config.rendered_share < 1:
        check_set(photos, config.batch if config.rendered_share == 0 else 1, config.photos)
    own = None if config.validation is None else checked(config.validation, "none")
    if own is not None and len(own) == 0:
        raise InputError(f"{config.validation} holds no prepared photo to validate on.")
    if own is None and config.validation_rendered == 0:
        raise InputError("Nothing to validate on: give --validation, or --validation-rendered 1 or more.")
    stream = FaceStream(photos, rendered("training"), config.rendered_share, config.seed, config.augment)
    return stream, ValidationSet(own, rendered("validation"), config.validation_rendered, config.batch)
