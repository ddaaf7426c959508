"""Reads the tensors of dlib's face recognition network from its own file format, as data.

dlib writes an integer as one byte (low nibble: how many bytes follow; 0x80: negative) and those bytes, little-endian.
A tensor is the integers 2, num_samples, k, nr, nc, then float32 little-endian. Between tensors stand layer details,
which are passed over: each tensor is looked for by the header that its known size gives it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import WeightsError

TENSOR_VERSION = 2
LONGEST_GAP = 4096  # bytes of layer details between two tensors


def encode_integer(value: int) -> bytes:
    """A non-negative integer as dlib writes it."""
    digits = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "little")
    return bytes([len(digits)]) + digits


def read_tensors(path: Path, shapes: list[tuple[int, int]]) -> list[Tensor]:
    """The tensors [rows, columns] of the given shapes, in the order of the file.

    Args:
        path: the file.
        shapes: (num_samples, k) of each tensor expected (their nr = nc = 1).

    Raises:
        WeightsError: the file is not there, or does not hold these tensors.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}. Install its package again.") from error
    tensors, position = [], 0
    for index, (rows, columns) in enumerate(shapes):
        header = b"".join(encode_integer(value) for value in (TENSOR_VERSION, rows, columns, 1, 1))
        start = data.find(header, position, position + LONGEST_GAP)
        begin = start + len(header)
        position = begin + 4 * rows * columns
        if start < 0 or position > len(data):
            raise WeightsError(
                f"{path} is damaged or another network: tensor {index + 1} of {len(shapes)}, {rows} x {columns} "
                "numbers, is not where it belongs. Install its package again."
            )
        values = np.frombuffer(data, "<f4", rows * columns, begin).astype(np.float32)
        tensors.append(torch.from_numpy(values).reshape(rows, columns))
    return tensors
