"""Masks of the people on portraits, for training the tiny generator. Runs in an environment of its own.

    python -m venv seg && seg/bin/pip install mediapipe==0.10.14
    seg/bin/python threedpsp/training/segment_people.py PHOTOS MASKS

That version of the package carries the model that segments people, but it pins old packages, so it must not share an
environment with the rest; for the same reason this file imports nothing of ours. For each photo it writes a mask of the
same name, a .png of 8 bits in which 255 is a person.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image


def main(photos: Path, masks: Path) -> None:
    """Segment every .jpg and .png of a folder; existing masks are kept."""
    import mediapipe as mp

    masks.mkdir(parents=True, exist_ok=True)
    with mp.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0) as segmenter:
        for path in sorted(p for p in photos.iterdir() if p.suffix.lower() in {".jpg", ".jpeg", ".png"}):
            target = masks / f"{path.stem}.png"
            if target.exists():
                continue
            mask = segmenter.process(np.array(Image.open(path).convert("RGB"))).segmentation_mask
            Image.fromarray((np.clip(mask, 0, 1) * 255).round().astype(np.uint8)).save(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
