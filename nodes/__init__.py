"""The ComfyUI nodes. Each file is one node: widgets in, one call of the core, values out."""

from __future__ import annotations

from .align import Align
from .blend_latents import BlendLatents
from .camera_path import CameraPath
from .check_setup import CheckSetup
from .confidence_map import ConfidenceMap
from .encode import Encode
from .estimate_pose import EstimatePose
from .evaluate import Evaluate
from .examples import offer_example_photos
from .extract_mesh import ExtractMesh
from .io_types import ComfyExtension, io
from .load_latent import LoadLatent
from .load_model import LoadModel
from .model_paths import register_model_folders
from .random_head import RandomHead
from .refine import Refine
from .render_views import RenderViews
from .save_latent import SaveLatent

NODES: list[type[io.ComfyNode]] = [
    LoadModel,
    Align,
    EstimatePose,
    ConfidenceMap,
    Encode,
    Refine,
    CameraPath,
    RenderViews,
    RandomHead,
    BlendLatents,
    SaveLatent,
    LoadLatent,
    ExtractMesh,
    Evaluate,
    CheckSetup,
]


class ThreeDpSpExtension(ComfyExtension):
    """What ComfyUI asks for the list of nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes, in the order of work.

        Also tells ComfyUI where our weights lie and offers the workflows' photos: here and not in `on_load`, which
        not every version of ComfyUI calls.
        """
        register_model_folders()
        offer_example_photos()
        return NODES
