"""Every recorded case, and the command that runs them: `python -m tests.parity DIR`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.golden import DATA, ROOT, golden_case_names, golden_dir, golden_path
from tests.parity.__main__ import main
from tests.parity.case import read_case
from tests.parity.inversion import step_tolerance
from tests.parity.run import RUNNERS, run_case

Tensors = dict[str, torch.Tensor]


# The renderer's are run by each implementation in kernels/test_render_rays_golden.py.
@pytest.mark.parametrize("name", [name for name in golden_case_names() if not name.startswith("renderer_")])
def test_recorded_case_is_reproduced(name: str) -> None:
    result = run_case(golden_path(f"{name}.safetensors"))
    assert result.passed, str(result)


def test_every_kind_has_been_recorded() -> None:
    if not golden_dir().is_dir():
        pytest.skip(f"{golden_dir()} is not there: only the small copies in tests/data were run (THREEDPSP_GOLDEN)")
    kinds = {read_case(path).kind for path in golden_dir().glob("*.safetensors")}
    assert not [name for name in RUNNERS if not any(k == name or k.startswith(f"{name}_") for k in kinds)]


def copied(folder: Path, name: str, new_name: str, change: Callable[[Tensors, dict[str, str]], None] | None = None):
    """A case under another name, changed, with its manifest under the same name."""
    case = read_case(DATA / f"{name}.safetensors")
    tensors, metadata = dict(case.tensors), dict(case.metadata)
    if change:
        change(tensors, metadata)
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / f"{new_name}.safetensors", metadata)
    if (manifest := DATA / f"{name}.weights.json").is_file():
        shutil.copy(manifest, folder / f"{new_name}.weights.json")


def changed_tensor(name: str, factor: float) -> Callable[[Tensors, dict[str, str]], None]:
    """Multiplies one number of a tensor."""

    def change(tensors: Tensors, metadata: dict[str, str]) -> None:
        tensors[name] = tensors[name].clone()
        tensors[name].view(-1)[tensors[name].abs().argmax()] *= factor

    return change


def first_of_batch(tensors: Tensors, metadata: dict[str, str]) -> None:
    """Only the first poses are kept, and the kind is told by the name alone."""
    tensors.update({k: v[:2] for k, v in tensors.items() if k != "fov_intrinsics_18_837"})
    del metadata["kind"]


def twice(tensors: Tensors, metadata: dict[str, str]) -> None:
    """A batch of two, one image in another view, and the name of the manifest left as it was."""
    tensors.update({k: torch.cat([v, v]) for k, v in tensors.items()})
    tensors["image_stride8"] = tensors.pop("image_stride4")[..., ::2, ::2]


def test_renamed_and_resized_draws_pass_and_each_has_a_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    copied(tmp_path, "camera_math", "camera_math__b", first_of_batch)
    copied(tmp_path, "ranger", "anything")
    copied(tmp_path, "eg3d_cars128_small", "eg3d_cars128_small__b", twice)
    assert main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        ["ok", "anything"],
        ["ok", "camera_math__b"],
        ["ok", "eg3d_cars128_small__b"],
    ]
    assert lines[3].startswith("3 passed, 0 failed")
    assert "trajectory" in lines[0] and "(3e-07)" in lines[0]


def two_rays_batches(tensors: Tensors, metadata: dict[str, str]) -> None:
    """A batch of two of the renderer's, whose weights are shared."""
    tensors.update({k: torch.cat([v, v]) for k, v in tensors.items() if k not in ("w0", "b0", "w1", "b1")})


def fewer_steps(tensors: Tensors, metadata: dict[str, str]) -> None:
    """Ranger's first eleven steps."""
    tensors["trajectory"] = tensors["trajectory"][:11]
    metadata["steps"] = "11"


def in_another_order(tensors: Tensors, metadata: dict[str, str]) -> None:
    """Metadata and tensors the other way round, with a remark that no code knows."""
    for values in (tensors, metadata):
        turned = dict(reversed(values.items()))
        values.clear()
        values.update(turned)
    metadata["recorded_by"] = "someone else"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("renderer_small", two_rays_batches),
        ("renderer_small", in_another_order),
        ("ranger", fewer_steps),
        ("ranger", in_another_order),
        ("camera_math", in_another_order),
        ("eg3d_cars128_small", in_another_order),
    ],
)
def test_a_new_draw_needs_no_code(name: str, change: Callable[[Tensors, dict[str, str]], None], tmp_path: Path) -> None:
    copied(tmp_path, name, f"{name}__x", change)
    result = run_case(tmp_path / f"{name}__x.safetensors")
    assert result.passed, str(result)


@pytest.mark.parametrize(
    ("name", "key", "old", "new"),
    [
        ("ranger", "lr", "0.01", "0.0101"),
        ("ranger", "defaults", "alpha .5", "alpha .51"),
        ("ranger", "defaults", "k 6", "k 5"),
        ("ranger", "defaults", ".95,.999", ".94,.999"),
        ("ranger", "defaults", ".95,.999", ".95,.998"),
        ("ranger", "defaults", "eps 1e-5", "eps 1e-4"),
        ("ranger", "defaults", "weight_decay 0", "weight_decay 0.01"),
        ("ranger", "defaults", "use_gc True", "use_gc False"),
        ("ranger", "defaults", "gc_conv_only False", "gc_conv_only True"),
        ("ranger", "defaults", "threshhold 5", "threshhold 7"),
        ("camera_math", "lookat", "radius 2.7", "radius 2.6"),
        ("camera_math", "lookat", "pivot (0,0,.2)", "pivot (0,0,-.06)"),
        ("renderer_small", "options", '"box_warp": 0.35', '"box_warp": 0.36'),
        ("renderer_small", "options", '"ray_start": "auto", "ray_end": "auto"', '"ray_start": 2.25, "ray_end": 3.3'),
        ("eg3d_cars128_small", "truncation_psi", "1", "0.9"),
        ("eg3d_cars128_small", "noise_mode", "const", "none"),
        ("eg3d_cars128_small", "neural_rendering_resolution", "64", "32"),
        ("eg3d_cars128_small", "rendering_kwargs", '"white_back": true', '"white_back": false'),
        ("eg3d_cars128_small", "rendering_kwargs", '"ray_start": 0.1', '"ray_start": 0.2'),
        ("eg3d_cars128_small", "rendering_kwargs", '"depth_resolution": 64', '"depth_resolution": 48'),
        (
            "eg3d_cars128_small",
            "rendering_kwargs",
            '"c_gen_conditioning_zero": true',
            '"c_gen_conditioning_zero": false',
        ),
    ],
)
def test_every_setting_of_a_draw_counts(name: str, key: str, old: str, new: str, tmp_path: Path) -> None:
    def change(tensors: Tensors, metadata: dict[str, str]) -> None:
        assert old in metadata[key]
        metadata[key] = metadata[key].replace(old, new)

    copied(tmp_path, name, f"{name}__x", change)
    result = run_case(tmp_path / f"{name}__x.safetensors")
    assert not result.error and not result.passed, str(result)


def test_a_draw_uses_its_own_manifest(tmp_path: Path) -> None:
    shutil.copy(DATA / "eg3d_cars128_small.weights.json", tmp_path)
    copied(tmp_path, "eg3d_cars128_small", "eg3d_cars128_small__b")
    own = tmp_path / "eg3d_cars128_small__b.weights.json"
    own.write_text(own.read_text().replace('"seed": 4', '"seed": 5'))
    result = run_case(tmp_path / "eg3d_cars128_small__b.safetensors")
    assert not result.passed and not result.error
    assert {m.quantity for m in result.measured if not m.passed} >= {"ws", "planes", "image"}
    own.unlink()  # then the one that the metadata name
    assert run_case(tmp_path / "eg3d_cars128_small__b.safetensors").passed


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("camera_math", "pose_orig_flip_yaw"),
        ("ranger", "trajectory"),
        ("renderer_small", "grad_planes_channel_0"),
        ("renderer_small", "features"),
        ("eg3d_cars128_small", "image_centre64"),
    ],
)
@pytest.mark.parametrize("factor", [1.0001, float("nan")])
def test_an_altered_value_fails(name: str, tensor: str, factor: float, tmp_path: Path, capsys) -> None:  # noqa: ANN001
    copied(tmp_path, name, name, changed_tensor(tensor, factor))
    assert main([str(tmp_path)]) == 1
    output = capsys.readouterr().out
    assert output.startswith(f"FAIL {name} ") and "ABOVE" in output and "1 failed" in output


def unknown_kind(folder: Path) -> None:
    copied(folder, "camera_math", "bad", lambda tensors, metadata: metadata.update(kind="encoder_of_everything"))


def no_kind(folder: Path) -> None:
    copied(folder, "camera_math", "bad", lambda tensors, metadata: metadata.clear())


def garbage(folder: Path) -> None:
    (folder / "bad.safetensors").write_bytes(b"not a case")


def truncated(folder: Path) -> None:
    whole = (DATA / "camera_math.safetensors").read_bytes()
    (folder / "bad.safetensors").write_bytes(whole[: len(whole) // 2])


def without_manifest(folder: Path) -> None:
    copied(folder, "eg3d_cars128_small", "bad")
    (folder / "bad.weights.json").unlink()


def broken_manifest(folder: Path) -> None:
    copied(folder, "eg3d_cars128_small", "bad")
    (folder / "bad.weights.json").write_text('{"seed": 4')


def unknown_setting(folder: Path) -> None:
    def change(tensors: Tensors, metadata: dict[str, str]) -> None:
        metadata["rendering_kwargs"] = metadata["rendering_kwargs"].replace("Hybrid2X", "Hybrid99X")

    copied(folder, "eg3d_cars128_small", "bad", change)


def unknown_tensor(folder: Path) -> None:
    copied(folder, "ranger", "bad", lambda tensors, metadata: tensors.update(momentum=tensors["trajectory"] + 1))


def only_what_went_in(folder: Path) -> None:
    def change(tensors: Tensors, metadata: dict[str, str]) -> None:
        for name in [name for name in tensors if name.startswith(("pose", "lookat_pose", "fov"))]:
            del tensors[name]

    copied(folder, "camera_math", "bad", change)


def expected_without_its_input(folder: Path) -> None:
    copied(folder, "camera_math", "bad", lambda tensors, metadata: tensors.pop("lookat_hv"))


def empty_tensor(folder: Path) -> None:
    def change(tensors: Tensors, metadata: dict[str, str]) -> None:
        tensors.update({k: v[:0] for k, v in tensors.items() if k != "fov_intrinsics_18_837"})

    copied(folder, "camera_math", "bad", change)


def cut_tensor(folder: Path) -> None:
    copied(folder, "ranger", "bad", lambda tensors, metadata: tensors.update(trajectory=tensors["trajectory"][:, 1:]))


def nothing_recorded(folder: Path) -> None:
    copied(folder, "ranger", "bad", lambda tensors, metadata: tensors.pop("x"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (unknown_kind, "unknown kind 'encoder_of_everything'"),
        (no_kind, "unknown kind 'bad'"),
        (garbage, "not a readable safetensors file"),
        (truncated, "not a readable safetensors file"),
        (without_manifest, "eg3d_cars128_small.weights.json, named by its metadata as weights, is not beside it"),
        (broken_manifest, "bad.weights.json is not a readable manifest"),
        (unknown_setting, "SuperresolutionHybrid99X"),
        (cut_tensor, "ABOVE"),
        (empty_tensor, "pose_orig inf ABOVE"),
        (unknown_tensor, "NOT COMPARED: momentum"),
        (only_what_went_in, "nothing to compare with"),
        (expected_without_its_input, "NOT COMPARED: lookat_pose"),
        (nothing_recorded, "it holds no tensor 'x'"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_cannot_be_run_is_named_fails_and_hides_nothing(
    make: Callable[[Path], None], words: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    make(tmp_path)
    copied(tmp_path, "camera_math", "good")
    assert main([str(tmp_path)]) == 1
    bad, good, total = capsys.readouterr().out.splitlines()
    assert bad.startswith("FAIL bad ") and words in bad
    assert good.startswith("ok   good ") and total.startswith("1 passed, 1 failed")


def test_kind_chooses_and_nothing_to_run_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    copied(tmp_path, "camera_math", "a")
    copied(tmp_path, "ranger", "b")
    assert main([str(tmp_path), "--kind", "ranger", "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["case"] == "b" and report["kind"] == "ranger" and report["passed"]
    assert report["quantities"][0]["error"] <= report["quantities"][0]["tolerance"] == 3e-7
    assert main([str(tmp_path), "--kind", "inversion"]) == 2
    assert "inversion" in capsys.readouterr().err
    assert main([str(tmp_path / "nowhere")]) == 2
    assert main([str(tmp_path), "--kind", "camera_math", "--implementation", "reference"]) == 0


def test_named_implementation_that_cannot_run_fails(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device, or tensors would have to be moved to it")
    copied(tmp_path, "renderer_small", "renderer_small")
    assert main([str(tmp_path), "--implementation", "cuda"]) == 1
    assert "cuda" in capsys.readouterr().out


def test_command_needs_no_pytest(tmp_path: Path) -> None:
    copied(tmp_path, "camera_math", "camera_math__c")
    code = (
        "import runpy, sys; sys.modules['pytest'] = None; "
        f"sys.argv = ['parity', {str(tmp_path)!r}]; runpy.run_module('tests.parity', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok   camera_math__c ")


def test_tolerance_of_the_loop_grows_from_the_first_step_to_the_fifth() -> None:
    assert step_tolerance(1) == pytest.approx(1e-5)
    assert step_tolerance(3) == pytest.approx(10**-4.5)
    assert step_tolerance(5) == pytest.approx(1e-4) == step_tolerance(9)
