"""Photos in, aligned crops with cameras out."""

from __future__ import annotations

from .align import Border, apply_affine, crop_face, five_points
from .dataset import FaceDataset
from .deep3d import Deep3D
from .folder import FolderReport, PhotoReport, prepare_folder
from .landmarks import Face, FaceDetector, close_shared_detector, detect_faces
from .photo import Photo, PhotoSource, load_photo
from .pose import PoseConvention, camera_from_deep3d, estimate_camera
from .prepare import FaceChoice, prepare_photo
from .prepared_folder import PreparedFolder, PreparedPhoto, is_prepared, load_prepared, read_prepared

__all__ = [
    "Border",
    "Deep3D",
    "Face",
    "FaceChoice",
    "FaceDataset",
    "FaceDetector",
    "FolderReport",
    "Photo",
    "PhotoReport",
    "PhotoSource",
    "PoseConvention",
    "PreparedFolder",
    "PreparedPhoto",
    "apply_affine",
    "camera_from_deep3d",
    "close_shared_detector",
    "crop_face",
    "detect_faces",
    "estimate_camera",
    "five_points",
    "is_prepared",
    "load_photo",
    "load_prepared",
    "prepare_folder",
    "prepare_photo",
    "read_prepared",
]
