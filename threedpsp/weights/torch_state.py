"""What the contents of a torch file are: which dict in it holds which network."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from ..encoder.config import EncoderConfig
from ..encoder.triplane_branch import TriplaneBranch
from ..encoder.triplanenet import TriPlaneNetConfig
from ..errors import WeightsError
from ..metrics.arcface import ArcFaceIdentity
from ..preprocessing.confnet import ConfNet
from ..preprocessing.deep3d import Deep3D
from . import encoder_state
from .limits import MAX_TEXT, config_from_file
from .recognised import Recognised, Shape, shapes_of, usable

State = dict[str, Tensor]
SIGNATURES: dict[str, tuple[str, ...]] = {
    "triplanenet": ("up1.conv.double_conv.0.weight", "up4.conv.double_conv.0.weight", "body.0.res_layer.0.weight"),
    "encoder": encoder_state.SIGNATURE,
    "arcface": ("input_layer.0.weight", "output_layer.3.weight", "body.0.res_layer.0.weight"),
    "confnet": ("network.0.weight", "out_net1.0.weight", "out_net2.0.weight"),
    "deep3d": ("backbone.conv1.weight", "backbone.layer4.2.conv3.weight", "final_layers.0.weight"),
}
"""Names that a network of a kind has, after a prefix that is the same for all of them; looked for in this order."""
_BRANCH, _ENCODER = "triplanenet_encoder.", "psp_encoder."
_PLAIN = (str, int, float, bool, type(None))
_MAX_OPTIONS = 500  # pSp's training saves about 60


def recognise_state(content: Any, file_size: int) -> Recognised:
    """The network in what a torch file (or a safetensors file without our metadata) of so many bytes holds.

    Raises:
        WeightsError: none of the networks that this program knows, or made to deceive; does not name the file.
    """
    if not isinstance(content, dict):
        raise WeightsError(f"it holds a {type(content).__name__}, not a dict of weights.")
    states = list(_states(content))
    for kind, signature in SIGNATURES.items():
        for state in states:
            for prefix in _prefixes(state, signature):
                return _recognised(kind, state, prefix, content, file_size)
    raise WeightsError(f"it holds none of the networks that this program knows{_shown(content, states)}.")


def options_of(content: Mapping[str, Any]) -> dict[str, object]:
    """The settings saved beside the weights (`opts`: a dict or a Namespace), plain values only."""
    options = content.get("opts")
    values = vars(options) if isinstance(options, argparse.Namespace) else options
    if not isinstance(values, dict):
        return {}
    plain = (
        (k, v)
        for k, v in values.items()
        if type(k) is str and len(k) <= MAX_TEXT and type(v) in _PLAIN and len(str(v)) < 1000
    )
    return dict(itertools.islice(plain, _MAX_OPTIONS))


def _states(content: dict[Any, Any]) -> Iterator[State]:
    """Dicts of tensors by name: the content itself, and what it holds under one key."""
    dicts = {id(value): value for value in (content, *content.values()) if isinstance(value, dict)}
    for value in dicts.values():  # each once, however often the file refers to it
        state = {k: v for k, v in value.items() if isinstance(k, str) and isinstance(v, Tensor)}
        if state:
            yield state


def _prefixes(state: State, signature: tuple[str, ...]) -> Iterator[str]:
    """What stands before the names of a network in a state dict: "", "encoder.", "module." ..."""
    first = signature[0]
    for name in state:
        prefix = name.removesuffix(first)
        whole = name.endswith(first) and prefix[-1:] in ("", ".")
        if whole and all(prefix + other in state for other in signature):
            yield prefix


def _recognised(kind: str, state: State, prefix: str, content: dict[Any, Any], file_size: int) -> Recognised:
    options = options_of(content)
    part = _part(state, prefix)
    latent_avg = content.get("latent_avg")
    latent_avg = latent_avg if isinstance(latent_avg, Tensor) else part.pop("latent_avg", None)
    if kind == "encoder":
        found = encoder_state.recognise_encoder(part, latent_avg, options, file_size)
    elif kind == "triplanenet":
        found = _triplanenet(state, prefix, part, latent_avg, file_size)
    elif kind == "arcface":
        found = _fixed(kind, "ArcFace's IR-SE50 (identity)", part, shapes_of(ArcFaceIdentity), file_size)
    elif kind == "confnet":
        found = _fixed(kind, "unsup3d's ConfNet (uncertainty of the flip)", part, shapes_of(ConfNet), file_size)
    else:
        found = _fixed(kind, "Deep3DFaceRecon's ResNet50 (pose)", part, shapes_of(Deep3D), file_size)
    found.facts.update({f"opts.{name}": str(value) for name, value in options.items()})
    return found


def _fixed(kind: str, what: str, state: State, expected: Mapping[str, Shape], file_size: int) -> Recognised:
    """A network that comes in one size only."""
    tensors, problems = usable(expected, _shapes(state), lambda name: state[name], file_size)
    return Recognised(kind, what, tensors, {}, {}, problems)


def _triplanenet(state: State, prefix: str, branch: State, latent_avg: Tensor | None, file_size: int) -> Recognised:
    """The branch, and the pSp encoder beside it."""
    renamed = {_BRANCH + name: tensor for name, tensor in branch.items()}
    try:
        config = TriPlaneNetConfig.of_state(renamed)
    except IndexError as error:
        raise WeightsError("its plane branch has a convolution that is none.") from error
    tensors, problems = usable(
        {_BRANCH + n: shape for n, shape in shapes_of(lambda: TriplaneBranch(config.branch)).items()},
        _shapes(renamed),
        lambda name: renamed[name],
        file_size,
    )
    other = next((p for p in _prefixes(state, encoder_state.SIGNATURE) if p != prefix), None)
    if other is None:
        problems.append("its pSp encoder is missing (the file holds the plane branch alone)")
    else:
        encoder = encoder_state.recognise_encoder(_part(state, other), latent_avg, {}, file_size)
        problems += [f"encoder: {problem}" for problem in encoder.problems]
        tensors |= {n if n == "latent_avg" else _ENCODER + n: t for n, t in encoder.tensors.items()}
        read, branch_config = EncoderConfig.from_dict(encoder.config), config.branch
        config = config_from_file(lambda: TriPlaneNetConfig(read, branch_config), TriPlaneNetConfig())
    what = f"TriPlaneNet {'v2' if config.is_v2 else 'v1'} ({config.branch.upsampler})"
    return Recognised("triplanenet", what, tensors, config.to_dict(), {}, problems)


def _part(state: State, prefix: str) -> State:
    """The tensors whose names begin with a prefix, without it."""
    return {name[len(prefix) :]: tensor for name, tensor in state.items() if name.startswith(prefix)}


def _shapes(state: State) -> dict[str, Shape]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _shown(content: dict[Any, Any], states: list[State]) -> str:
    """A few names, to tell what it may be."""
    names = [str(name)[:60] for name in itertools.islice(states[0] if states else content, 4)]
    return f" (its names: {', '.join(names)}, ...)" if names else " (it is empty)"
