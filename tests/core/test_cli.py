"""The command line on a small random model: what it writes, what it says, and how it ends when something is wrong."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from tests.core.small_model import save_small_model
from tests.other_user import read_only_folder, run_as_other_user
from threedpsp.cli import main
from threedpsp.cli.demo import astronaut
from threedpsp.cli.photos import find_photos, result_names
from threedpsp.errors import InputError

FILES = {"crop.png", "sheet.png", "turntable.mp4", "latent.safetensors", "report.json"}
FAST = ("--no-refine", "--frames", "6", "--size", "64", "--steps", "2", "--device", "cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_small_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "eileen.jpg"
    Image.fromarray(astronaut()).save(path, quality=95)
    return path


def painting() -> Image.Image:
    """Broad strokes of many colours; nobody in it."""
    random = np.random.default_rng(3)
    picture = Image.new("RGB", (400, 300), (90, 110, 140))
    draw = ImageDraw.Draw(picture)
    for _ in range(150):
        points = [tuple(int(v) for v in random.integers(0, 400, 2)) for _ in range(3)]
        draw.line(points, fill=tuple(int(v) for v in random.integers(0, 255, 3)), width=int(random.integers(4, 30)))
    return picture.filter(ImageFilter.GaussianBlur(2))


def write_no_face(folder: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)).save(folder / "noise.png")
    return folder / "noise.png"


def write_painting(folder: Path) -> Path:
    painting().save(folder / "painting.png")
    return folder / "painting.png"


def write_tiny_face(folder: Path) -> Path:
    """The astronaut's face is about 100 of 512 pixels wide; here it is 20, in a picture of the same size."""
    small = Image.fromarray(astronaut()).resize((100, 100), Image.Resampling.LANCZOS)
    picture = Image.new("RGB", (512, 512), (120, 120, 120))
    picture.paste(small, (200, 200))
    picture.save(folder / "far.png")
    return folder / "far.png"


def write_truncated(folder: Path) -> Path:
    path = folder / "cut.jpg"
    Image.fromarray(astronaut()).save(path)
    path.write_bytes(path.read_bytes()[:9000])
    return path


def write_text(folder: Path) -> Path:
    (folder / "letter.png").write_text("Dear photo,\nyou are none.\n")
    return folder / "letter.png"


@contextmanager
def files_up_to(limit: int) -> Iterator[None]:
    """No file may grow beyond `limit` bytes: what a full disk does, without filling one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_invert_writes_everything(model: str, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["invert", str(portrait), "-o", str(tmp_path / "out"), "--model", model, *FAST]) == 0
    folder = tmp_path / "out" / "eileen"
    assert {p.name for p in folder.iterdir()} == FILES
    with av.open(str(folder / "turntable.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 6
    report = json.loads((folder / "report.json").read_text())
    assert set(report["quality"]) == {"step 1", "step 2", "result"}
    assert {"psnr", "identity_distance"} <= set(report["quality"]["result"])
    assert report["video"]["cameras"]["yaw_degrees"][0] == pytest.approx(report["camera"]["yaw_degrees"], abs=0.05)
    assert report["precision"] == report["info"]["precision"] in ("float32", "bfloat16")
    assert Image.open(folder / "crop.png").size == (512, 512)
    printed = capsys.readouterr()
    assert str(folder / "turntable.mp4") in printed.out
    assert "prepare" in printed.err and "render 6/6" in printed.err


def test_a_first_likeness_is_made_unless_the_system_alone_is_wanted(
    model: str, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def invert(*more: str) -> dict[str, object]:
        assert main(["invert", str(portrait), "-o", str(tmp_path), "--model", model, *FAST, *more]) == 0
        return json.loads((tmp_path / "eileen" / "report.json").read_text())["info"]

    facts = invert()["likeness"]
    assert isinstance(facts, dict) and facts["updates"] == 5 and facts["seconds"] >= 0
    assert "first likeness: 5 updates" in capsys.readouterr().out
    assert "likeness" not in invert("--likeness", "none")
    assert "first likeness" not in capsys.readouterr().out


def test_refining_says_how_many_updates_it_made(
    model: str, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    fast = [option for option in FAST if option != "--no-refine"]
    command = ["invert", str(portrait), "-o", str(tmp_path), "--model", model, *fast, "--refine-steps", "3"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "refined: 3 updates" in said and "note: Only 3 updates were made; a likeness needs 5" in said
    info = json.loads((tmp_path / "eileen" / "report.json").read_text())["info"]
    assert info["refine"]["steps"] == 3 and "likeness" not in info


def test_render_makes_another_video_of_a_saved_head(
    model: str, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    main(["invert", str(portrait), "-o", str(tmp_path), "--model", model, *FAST])
    latent = tmp_path / "eileen" / "latent.safetensors"
    target = tmp_path / "videos" / "dolly.mp4"
    options = ["--path", "dolly", "--frames", "4", "--size", "64", "--device", "cpu", "--json"]
    capsys.readouterr()
    assert main(["render", str(latent), "-o", str(target), "--model", model, *options]) == 0
    assert json.loads(capsys.readouterr().out) == {"video": str(target), "frames": 4, "fps": 24.0}
    assert target.is_file()


def test_demo_says_where_the_video_is(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["demo", "-o", str(tmp_path), "--model", model, "--quiet", *FAST]) == 0
    printed = capsys.readouterr()
    assert str(tmp_path / "astronaut" / "turntable.mp4") in printed.out
    assert "render" not in printed.err


def test_prepare_writes_crop_uncertainty_and_label(portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["prepare", str(portrait), "-o", str(tmp_path), "--size", "128", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {p.name for p in (tmp_path / "eileen").iterdir()} == {"crop.png", "mirror_sigma.png", "report.json"}
    assert Image.open(tmp_path / "eileen" / "crop.png").size == (128, 128)
    assert len(printed["label"]) == 25


def test_prepare_goes_through_a_folder(portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(portrait.read_bytes())
    write_text(photos)
    assert main(["prepare", str(photos), "-o", str(tmp_path / "set"), "--size", "64", "--json"]) == 2
    printed = json.loads(capsys.readouterr().out)
    assert printed["prepared"] == ["a.png"]
    assert [failure["photo"] for failure in printed["failures"]] == ["letter.png"]
    assert len(json.loads((tmp_path / "set" / "dataset.json").read_text())["labels"]) == 1


@pytest.mark.parametrize(
    ("write", "code", "words"),
    [
        (write_no_face, 3, "No face found"),
        (write_painting, 3, "No face found"),
        (write_tiny_face, (2, 3), ("too small", "No face found")),
        (write_truncated, 2, "damaged or cut off"),
        (write_text, 2, "not an image that can be decoded"),
        (lambda folder: folder / "nowhere.jpg", 2, "There is no file"),
    ],
    ids=["no face", "painting", "20-pixel face", "truncated JPEG", "text named .png", "missing file"],
)
def test_unusable_photo_is_explained_and_leaves_nothing(
    write: Callable[[Path], Path],
    code: int | tuple[int, ...],
    words: str | tuple[str, ...],
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    photo = write(tmp_path)
    ended = main(["invert", str(photo), "-o", str(tmp_path / "out"), "--model", model, *FAST])
    message = capsys.readouterr().err
    assert ended in (code if isinstance(code, tuple) else (code,))
    assert any(part in message for part in (words if isinstance(words, tuple) else (words,)))
    assert "Traceback" not in message
    assert not (tmp_path / "out").exists()


def test_batch_goes_on_past_bad_files(model: str, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    bad = [write_text(tmp_path), write_no_face(tmp_path), tmp_path / "nowhere.jpg"]
    arguments = [str(bad[0]), str(portrait), str(bad[1]), str(bad[2])]
    assert main(["invert", *arguments, "-o", str(tmp_path / "out"), "--model", model, "--json", *FAST]) == 1
    printed = capsys.readouterr()
    data = json.loads(printed.out)
    assert [Path(r["folder"]).name for r in data["results"]] == ["eileen"]
    assert [Path(f["photo"]).name for f in data["failures"]] == ["letter.png", "noise.png", "nowhere.jpg"]
    assert "1 done, 3 failed: letter.png, noise.png, nowhere.jpg" in printed.err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["eileen"]


@pytest.mark.parametrize("limit", [1000, 20_000, 60_000])
def test_full_disk_is_explained_and_leaves_nothing(
    limit: int, model: str, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with files_up_to(limit):
        ended = main(["invert", str(portrait), "-o", str(tmp_path / "out"), "--model", model, *FAST])
    assert ended == 4
    assert "limit on file size" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_unwritable_output_folder_is_found_before_any_work(portrait: Path, tmp_path: Path):
    folder = read_only_folder(tmp_path)
    out = ["-o", str(folder / "out"), "--json"]
    commands = [["demo", *out], ["invert", str(portrait), *out], ["prepare", str(portrait), *out]]
    imports = "import threedpsp.cli, threedpsp.cli.demo as demo; photo = demo.astronaut()"
    imports += "; [threedpsp.cli.parse([name]) for name in ('demo', 'invert', 'prepare')]"  # what tyro imports late
    code = f"""
demo.astronaut = lambda: photo
print([threedpsp.cli.main(command) for command in {commands!r}])
"""
    done = run_as_other_user(imports, code)
    *errors, codes = done.stdout.splitlines()
    assert codes == "[4, 4, 4]", done.stderr
    assert all("may not write there" in json.loads(error)["error"] for error in errors)
    assert not list(folder.iterdir())


def test_damaged_latent_is_explained(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "latent.safetensors").write_bytes(b"nothing of use")
    assert main(["render", str(tmp_path / "latent.safetensors"), "--model", model]) == 6
    assert "damaged or not a latent file" in capsys.readouterr().err


def test_missing_model_is_explained(portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["invert", str(portrait), "-o", str(tmp_path / "out"), "--model", str(tmp_path / "no")]) == 6
    assert "one of: tiny" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_unknown_device_is_explained(model: str, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["invert", str(portrait), "-o", str(tmp_path / "out"), "--model", model, "--device", "toaster"]
    assert main(arguments) == 2
    assert "Device 'toaster' cannot be used" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["invert", "prepare", "evaluate"])
def test_nothing_given_is_explained(command: str, capsys: pytest.CaptureFixture[str]):
    assert main([command]) == 2
    assert "Example: threedpsp" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["demo"], ["invert"], ["prepare"], ["render"], ["evaluate"]])
def test_help_is_there(command: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert "threedpsp" in capsys.readouterr().out


def test_option_that_does_not_exist_is_a_usage_error(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--fps-of-love", "3"])
    assert ended.value.code == 2


def test_face_option_takes_a_number_or_largest(model: str, portrait: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["invert", str(portrait), "--face", "left", "--model", model]) == 2
    assert "'largest' or a number" in capsys.readouterr().err


def test_results_of_namesakes_keep_apart():
    assert result_names([Path("a/x.jpg"), Path("b/X.png"), Path("y.png"), Path("c/x.webp")]) == ["x", "X-2", "y", "x-3"]


def test_folder_of_photos_is_expanded(tmp_path: Path):
    for name in ("b.png", "a.JPG", "notes.txt", ".hidden.png"):
        (tmp_path / name).touch()
    assert [p.name for p in find_photos([tmp_path])] == ["a.JPG", "b.png"]


def test_folder_without_photos_is_an_error(tmp_path: Path):
    with pytest.raises(InputError, match="No photos in the folder"):
        find_photos([tmp_path])
