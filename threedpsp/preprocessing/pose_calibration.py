"""Makes the file `pose_model.npz`; only developers need this.

    python -m threedpsp.preprocessing.pose_calibration ICT_IDENTITY.npz PORTRAITS_FOLDER

This needs the identity model of ICT-FaceKit and a few hundred photos that are near frontal.

1. Heads of random identity, some with the mouth open, are rendered from known cameras, and the points on
   them are found.
2. For each head, every point is triangulated from the views with the mouth closed: mean, modes (principal components
   of the heads and their mirror images), and what remains unexplained per point, open mouths included.
3. The renders have no smiles and no real brows. So points whose mean residual, or its spread, differs between photos
   and renders are left out, and what difference is left of the others is added to their sigma.
The cameras of the photos are not needed; labelled photos serve only to report the error.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..camera import FOCAL, Camera
from ..errors import InputError
from .align import apply_affine, crop_face, five_points
from .ict_heads import load_head_model, open_jaw, render_head
from .landmark_model import mirror_index
from .landmarks import detect_faces
from .photo import load_photo
from .pose_model import MODEL_FILE, PoseFit, PoseModel, fit_pose, project

HEADS, VIEWS, SIDE = 100, 8, 512
YAW, PITCH, ROLL = 45.0, 25.0, 10.0  # degrees, uniform within plus and minus
OPEN_MOUTHS, JAW_DEGREES = 0.33, (3.0, 13.0)
MODES = 20
MAX_GAP, MAX_SPREAD = 0.012, 1.9  # between photos and renders: of the mean residual (crop sides), ratio of spreads
SIGMA_FACTOR = 2.0  # neighbouring points err together; treating them as independent would overrate them
LOWEST = -0.04  # world y: below lie mouth, cheeks and chin
NEAR_FRONTAL = (20.0, 12.0)  # yaw, pitch in degrees: renders to compare photos with
REFERENCE_SIGMA = 0.006

# Eyes, nose ridge, outline of the upper face: keeps its place well enough to compare photos and renders.
REFERENCE_POINTS = (
    33, 133, 263, 362, 168, 6, 197, 195, 5, 4, 1, 10, 151, 67, 297, 109, 338, 54, 284, 21, 251, 162, 389,
    127, 356, 234, 454, 93, 323,
)  # fmt: skip
_LIPS = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185, 78, 95, 88, 178, 87, 14,
    317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191,
)  # fmt: skip
_BROWS = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46, 300, 293, 334, 296, 336, 285, 295, 282, 283, 276, 8, 9)
_LIDS = (
    7, 163, 144, 145, 153, 154, 155, 246, 161, 160, 159, 158, 157, 173,
    382, 381, 380, 374, 373, 390, 249, 466, 388, 387, 386, 385, 384, 398,
)  # fmt: skip

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Views:
    """Renders of known cameras.

    Of each they hold the number of the head [N], the angle of the jaw [N] in degrees, the matrix from the camera to the
    world [N,4,4], and the points [N,478,2] from 0 to 1.
    """

    head: np.ndarray
    jaw: np.ndarray
    cam2world: np.ndarray
    points: np.ndarray

    def select(self, index: np.ndarray) -> Views:
        """Some of them."""
        return Views(self.head[index], self.jaw[index], self.cam2world[index], self.points[index])


def observe_heads(ict_path: Path, heads: int = HEADS, seed: int = 1) -> Views:
    """Render random heads from random cameras and find MediaPipe's points in them."""
    model = load_head_model(ict_path)
    random = np.random.default_rng(seed)
    rows = []
    for head in range(heads):
        shape = model.neutral + np.einsum("k,kvc->vc", random.normal(size=len(model.modes)), model.modes)
        for view in range(VIEWS):
            jaw = random.uniform(*JAW_DEGREES) if random.random() < OPEN_MOUTHS else 0.0
            vertices = open_jaw(model, shape, jaw) if jaw else shape
            yaw, pitch = random.uniform(-YAW, YAW), random.uniform(-PITCH, PITCH)
            if view == 0:
                yaw, pitch = random.normal() * 5, random.normal() * 5
            cam2world = Camera.orbit(yaw, pitch).cam2world[0].double().numpy()
            roll = np.deg2rad(random.uniform(-ROLL, ROLL))
            cosine, sine = np.cos(roll), np.sin(roll)
            cam2world[:3, :3] = cam2world[:3, :3] @ np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
            faces = detect_faces(render_head(vertices, model, cam2world, FOCAL, SIDE, random))
            if faces:
                rows.append((head, jaw, cam2world, faces[0].points / SIDE))
        _log.info("head %d of %d", head + 1, heads)
    head_numbers, jaws, cameras, points = (np.array(column) for column in zip(*rows, strict=True))
    return Views(head_numbers, jaws, cameras, points.astype(np.float64))


def observe_photos(folder: Path, every: int = 4) -> np.ndarray:
    """The points [N,478,2] of every fourth photo in a folder, from 0 to 1 across the aligned crop."""
    found = []
    for path in sorted(folder.iterdir())[::every]:
        photo = load_photo(path)
        if faces := detect_faces(photo.image):
            _, matrix = crop_face(photo.image, five_points(faces[0].points), SIDE)
            found.append(apply_affine(matrix, faces[0].points) / SIDE)
    return np.array(found)


def build_model(views: Views, photos: np.ndarray) -> PoseModel:
    """Steps 2 and 3 of the module's description."""
    mirror = mirror_index()
    shapes, residuals = _triangulate_heads(views)
    both = np.concatenate([shapes, shapes[:, mirror] * [-1, 1, 1]])
    mean = both.mean(0)
    _, strength, directions = np.linalg.svd((both - mean).reshape(len(both), -1), full_matrices=False)
    modes = (directions[:MODES] * strength[:MODES, None] / np.sqrt(len(both))).reshape(-1, *mean.shape)
    noise = _symmetric((residuals**2).sum(2).mean(0) / 2)
    gap, spread = compare_photos_and_renders(mean, views, photos)
    usable = (gap < MAX_GAP) & (spread < MAX_SPREAD) & (mean[:, 1] > LOWEST)
    usable[[*_LIPS, *_BROWS, *_LIDS]] = False
    usable[468:] = False  # irises
    points = np.flatnonzero(usable)
    sigma = SIGMA_FACTOR * np.sqrt(noise + gap**2)
    return PoseModel(points, mean[points], modes[:, points], sigma[points])


def compare_photos_and_renders(mean: np.ndarray, views: Views, photos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per point [478]: distance between the mean residuals of both, and ratio of their spreads."""
    index = np.array(REFERENCE_POINTS)
    sigma = np.full(len(index), REFERENCE_SIGMA)
    reference = PoseModel(index, mean[index], np.zeros((0, len(index), 3)), sigma)

    def residuals(points: np.ndarray) -> np.ndarray:
        fits = [fit_pose(reference, face[index]) for face in points]
        return np.array([face - project(mean, f.rotation, f.translation) for face, f in zip(points, fits, strict=True)])

    x, y, z = views.cam2world[:, :3, 3].T
    yaw, pitch = np.rad2deg(np.arctan2(x, z)), np.rad2deg(np.arcsin(y / np.linalg.norm([x, y, z], axis=0)))
    near = (np.abs(yaw) < NEAR_FRONTAL[0]) & (np.abs(pitch) < NEAR_FRONTAL[1]) & (views.jaw == 0)
    of_renders, of_photos = residuals(views.points[near]), residuals(photos)
    gap = _symmetric(((of_photos.mean(0) - of_renders.mean(0)) ** 2).sum(1))
    spread = _symmetric(of_photos.var(0).sum(1)) / _symmetric(of_renders.var(0).sum(1))
    return np.sqrt(gap), np.sqrt(spread)


def angle_errors(model: PoseModel, views: Views) -> np.ndarray:
    """Rotation errors [N] in degrees on renders."""
    fits: list[PoseFit] = [fit_pose(model, points[model.points]) for points in views.points]
    found = np.array([fit.rotation.T for fit in fits])
    trace = np.einsum("nij,nij->n", found, views.cam2world[:, :3, :3])
    return np.rad2deg(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def _triangulate_heads(views: Views) -> tuple[np.ndarray, np.ndarray]:
    """The points of every head [H,478,3], and the residuals [N,478,2] in all of the views.

    The points are those that the views with a closed mouth show.
    """
    shapes, residuals = [], []
    for head in np.unique(views.head):
        mine = np.flatnonzero(views.head == head)
        closed = mine[views.jaw[mine] == 0]
        if len(closed) < 4:
            continue
        shape = _triangulate(views.cam2world[closed], views.points[closed])
        shapes.append(shape)
        for view in mine:
            world_to_camera = np.linalg.inv(views.cam2world[view])
            seen = project(shape, world_to_camera[:3, :3], world_to_camera[:3, 3])
            residuals.append(views.points[view] - seen)
    if not shapes:
        raise InputError(f"None of {len(np.unique(views.head))} heads has four views with the mouth closed; use more.")
    return np.array(shapes), np.array(residuals)


def _triangulate(cam2world: np.ndarray, points: np.ndarray) -> np.ndarray:
    """[P,3] from [V,4,4] cameras and [V,P,2] points: least squares on the rays' equations."""
    normal, right = np.zeros((points.shape[1], 3, 3)), np.zeros((points.shape[1], 3))
    for camera, seen in zip(np.linalg.inv(cam2world), (points - 0.5) / FOCAL, strict=True):
        rotation, translation = camera[:3, :3], camera[:3, 3]
        for axis in range(2):
            row = rotation[axis] - seen[:, axis : axis + 1] * rotation[2]
            value = seen[:, axis] * translation[2] - translation[axis]
            normal += row[:, :, None] * row[:, None, :]
            right += row * value[:, None]
    return np.linalg.solve(normal, right[..., None])[..., 0]


def _symmetric(values: np.ndarray) -> np.ndarray:
    return (values + values[mirror_index()]) / 2


def main() -> None:
    """Render, fit, write the model, and log its error on heads that it was not made from."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ict", type=Path, help="ICT-FaceKit identity model (.npz)")
    parser.add_argument("portraits", type=Path, help="folder of near-frontal photos")
    parser.add_argument("--heads", type=int, default=HEADS)
    parser.add_argument("--output", type=Path, default=MODEL_FILE)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    views = observe_heads(options.ict, options.heads)
    photos = observe_photos(options.portraits)
    write_model(views, photos, options.output)


def write_model(views: Views, photos: np.ndarray, output: Path) -> None:
    """Build from all heads; log the error of a model built from 70 % of them on the others."""
    first = views.head < 0.7 * (views.head.max() + 1)
    held_out = views.select(np.flatnonzero(~first))
    errors = angle_errors(build_model(views.select(np.flatnonzero(first)), photos), held_out)
    _log.info("%d held-out views: mean %.2f, 95%% %.2f degrees", len(errors), errors.mean(), np.percentile(errors, 95))
    model = build_model(views, photos)
    _log.info("%d points, %d modes", len(model.points), len(model.modes))
    np.savez_compressed(
        output,
        points=model.points.astype(np.int16),
        mean=model.mean.astype(np.float32),
        modes=model.modes.astype(np.float16),
        sigma=model.sigma.astype(np.float32),
    )


if __name__ == "__main__":
    main()
