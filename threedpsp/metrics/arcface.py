"""Identity as the network of ArcFace (of kind IR-SE50) sees it, with which the published encoders were trained.

Its weights are placed by the user.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import InputError, WeightsError
from .irse_blocks import IRSE50_WIDTHS, SEPool, input_layer, irse_body

CROP_ROWS = (70, 446)  # of an EG3D crop at 512 pixels
CROP_COLUMNS = (64, 440)
CROP_OF = 512
INPUT_SIDE = 112
EMBEDDING = 512
WEIGHTS_FILE = "model_ir_se50.pth"


class ArcFaceIdentity(nn.Module):
    """The network: from aligned crops of faces [N,3,R,R], with values from -1 to 1, to embeddings [N,512].

    The embeddings are of unit length and are differentiable in the crops; the weights of the network are frozen.
    """

    def __init__(self, *, se_pool: SEPool = "avg") -> None:
        """Without weights yet; see `from_state`, and `weights.load.load_arcface` for files.

        Args:
            se_pool: "avg" as the weights were trained; "max" is what the published 3DpSp computes with them.
        """
        super().__init__()
        channels = IRSE50_WIDTHS[-1]
        self.input_layer = input_layer(3, IRSE50_WIDTHS[0])
        self.body = irse_body(pool=se_pool)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Dropout(),
            nn.Flatten(),
            nn.Linear(channels * (INPUT_SIDE // 16) ** 2, EMBEDDING),
            nn.BatchNorm1d(EMBEDDING),
        )
        self.requires_grad_(False).train(False)

    @staticmethod
    def from_state(state: Mapping[str, Tensor], *, se_pool: SEPool = "avg") -> ArcFaceIdentity:
        """The network with the weights of a state_dict; BatchNorm's step counters may be missing.

        Raises:
            WeightsError: tensors missing, left over, or of another shape.
        """
        network = ArcFaceIdentity(se_pool=se_pool)
        own = network.state_dict()
        missing = {name for name in set(own) - set(state) if not name.endswith("num_batches_tracked")}
        unknown = set(state) - set(own)
        if missing or unknown:
            raise WeightsError(
                f"{len(missing)} tensors missing, {len(unknown)} unknown, for instance "
                f"{min(missing or unknown)}: these are not the weights of ArcFace's IR-SE50"
            )
        try:
            network.load_state_dict(dict(state), strict=False)
        except RuntimeError as error:
            raise WeightsError(f"These are not the weights of ArcFace's IR-SE50 ({error}).") from error
        return network

    def checkpoint(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Everything that makes it, for a safetensors file: tensors, and metadata of plain text."""
        return {name: t.contiguous() for name, t in self.state_dict().items()}, {"kind": "arcface", "config": "{}"}

    def train(self, mode: bool = True) -> ArcFaceIdentity:
        """Stays in evaluation mode: its normalisation must not adapt."""
        return super().train(False)

    def forward(self, images: Float[Tensor, "n 3 r r"]) -> Float[Tensor, "n 512"]:
        """Embeddings of EG3D crops in [-1,1]; other sizes than 512 are resized to it first."""
        if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3]:
            raise InputError(f"ArcFace reads square face crops [N,3,R,R]; got {list(images.shape)}.")
        if images.shape[3] != CROP_OF:
            images = F.interpolate(images, (CROP_OF, CROP_OF), mode="bilinear", align_corners=False, antialias=True)
        face = images[:, :, slice(*CROP_ROWS), slice(*CROP_COLUMNS)]
        return self.embed_faces(F.adaptive_avg_pool2d(face, INPUT_SIDE))

    def embed_faces(self, faces: Float[Tensor, "n 3 112 112"]) -> Float[Tensor, "n 512"]:
        """Embeddings of faces in [-1,1] that are cut and reduced already."""
        return F.normalize(self.output_layer(self.body(self.input_layer(faces))), dim=1)


def id_loss(a: Float[Tensor, "n d"], b: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """1 - cosine between unit-length embeddings: 0 = same direction, 2 = opposite."""
    return 1 - (a * b).sum(1)
