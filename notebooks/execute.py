"""Execute notebooks from top to bottom, and keep their outputs.

    python notebooks/execute.py [--kernel PYTHON] NOTEBOOK…

The kernel is another Python than slt's where there is one, as on Colab; it needs the package ipykernel. Folders of this
machine are taken out of the outputs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 1800  # of one cell
PROGRESS = re.compile(r"[^\n]*\r(?!\n)")  # what a terminal overwrites


def execute(
    notebook: Path, folder: Path, *, kernel: str = sys.executable, environment: Mapping[str, str] | None = None
) -> nbformat.NotebookNode:
    """Return an executed notebook.

    Args:
        notebook: the file; not written to.
        folder: where to execute it.
        kernel: the Python that executes it.
        environment: set for it.

    Raises:
        CellExecutionError: a cell failed, or a command in one.
    """
    cells = nbformat.read(notebook, as_version=4)
    kernels = folder / ".jupyter" / "kernels" / "host"
    kernels.mkdir(parents=True, exist_ok=True)
    command = [kernel, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernels.joinpath("kernel.json").write_text(
        json.dumps({"argv": command, "display_name": "host", "language": "python", "env": dict(environment or {})})
    )
    os.environ["JUPYTER_PATH"] = str(folder / ".jupyter")
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(cells, timeout=SECONDS, kernel_name="host", resources=resources, record_timing=False)
    found: nbformat.NotebookNode = client.execute()
    return found


def without_places(cells: nbformat.NotebookNode, places: Mapping[str, str]) -> nbformat.NotebookNode:
    """Return a notebook whose outputs name no folder of this machine, and show no overwritten progress."""
    text = nbformat.writes(cells)
    for place in sorted(places, key=len, reverse=True):
        text = text.replace(place, places[place])
    cleaned = nbformat.reads(text, as_version=4)
    for cell in cleaned.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                output.text = PROGRESS.sub("", output.text)
    return cleaned


def main() -> None:
    """Execute the notebooks that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", default=sys.executable)
    parser.add_argument("notebooks", nargs="+", type=Path)
    options = parser.parse_args()
    for notebook in options.notebooks:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "slt").symlink_to(ROOT)
            found = execute(notebook, Path(folder), kernel=options.kernel)
            places = {folder: ".", str(ROOT): "slt", str(Path.home()): "~"}
            nbformat.write(without_places(found, places), notebook)


if __name__ == "__main__":
    main()
