"""Runs one notebook in a kernel of its own, offline: `python -m tests.notebooks.execute NAME OUT`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CELL_SECONDS = 900
"""A cell that takes longer hangs; other work on the machine must not fail it, so its cost is counted otherwise."""
OURS_ARE_ERRORS = r"""
import warnings
warnings.filterwarnings("error", module=r"threedpsp|eg3d_kernels|__main__")
"""
COST = "import os; print(sum(os.times()[:4]))"


def kernel_environment(scratch: Path) -> dict[str, str]:
    """No network, this checkout's packages, and pictures that come back in the notebook."""
    nowhere = "http://127.0.0.1:9"
    proxies = {name: nowhere for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")}
    return (
        os.environ
        | proxies
        | {
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": str(ROOT),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "IPYTHONDIR": str(scratch / "ipython"),
            "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
        }
    )


def execute(path: Path, folder: Path) -> tuple[Any, float]:
    """The notebook with its outputs, and the processor seconds that its kernel and the commands it ran took.

    Args:
        path: the .ipynb.
        folder: an empty folder where it runs; its files go there.

    Raises:
        CellExecutionError, CellTimeoutError: of nbclient, where a cell fails or takes too long.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    first, last = nbformat.v4.new_code_cell(OURS_ARE_ERRORS), nbformat.v4.new_code_cell(COST)
    notebook.cells = [first, *notebook.cells, last]
    client = NotebookClient(notebook, timeout=CELL_SECONDS, resources={"metadata": {"path": str(folder)}})
    client.execute(env=kernel_environment(folder))
    seconds = float(last.outputs[0].text)
    notebook.cells = notebook.cells[1:-1]
    return notebook, seconds


def warnings_shown(notebook: Any) -> list[str]:
    """Warnings that the cells printed, whoever's they are, as the reader would see them."""
    shown = (output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs)
    lines = [line for out in shown if out.get("name") == "stderr" for line in out.text.splitlines()]
    return [line for line in lines if "Warning:" in line]


def main() -> int:
    """Executes notebooks/NAME.ipynb and writes it with its outputs to OUT, to be looked at."""
    import nbformat

    name, out = sys.argv[1], Path(sys.argv[2])
    scratch = out.parent / f"{name}-files"
    scratch.mkdir(parents=True, exist_ok=True)
    notebook, seconds = execute(ROOT / "notebooks" / f"{name}.ipynb", scratch)
    nbformat.write(notebook, out)
    print(f"{name}: {seconds:.0f} s of processor time", *warnings_shown(notebook), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
