"""Tiny ONNX models in the place of YOLOX and RTMW: the brightest blue in the picture is where all 133 points are."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from slt.assets.published import PUBLISHED_POSE, WHOLEBODY
from slt.video.rtmw import N_POINTS

DETECTOR, POSE = (Path(file.name).stem for file in PUBLISHED_POSE[WHOLEBODY].files)
WIDTH, HEIGHT = 192, 256


def write_models(folder: Path, *, zipped: bool = False, n_points: int = N_POINTS) -> Path:
    """Write both models into a folder, as ``.onnx`` or in the ``.zip`` in which they are published."""
    folder.mkdir(parents=True, exist_ok=True)
    write_detector(folder / f"{DETECTOR}.onnx", [(0, 0, 416, 416, 0.9)])
    write_pose_model(folder / f"{POSE}.onnx", n_points)
    if zipped:
        for name in (DETECTOR, POSE):
            with zipfile.ZipFile(folder / f"{name}.zip", "w") as packed:
                packed.write(folder / f"{name}.onnx", f"20230831/{name}/end2end.onnx")
            (folder / f"{name}.onnx").unlink()
    return folder


def write_detector(path: Path, boxes: Sequence[tuple[float, ...]]) -> None:
    """Write a detector that always finds these boxes: left, top, right, bottom in its 416×416 picture, and score."""
    found = numpy_helper.from_array(np.array(boxes, np.float32).reshape(1, -1, 5), "found")
    nodes = [helper.make_node("Identity", ["found"], ["boxes"])]
    _save(path, nodes, [found], (3, 416, 416), {"boxes": [1, len(boxes), 5]})


def write_pose_model(path: Path, n_points: int = N_POINTS) -> None:
    """Write a pose model: one profile over columns and one over rows, twice as fine as its picture, for each point."""
    names = {
        "blue": np.array([0]),
        "all": np.array([1, 2]),
        "weight": np.array(0.4, np.float32),
        "pair": np.array([2]),
    }
    nodes = [
        helper.make_node("Gather", ["picture", "blue"], ["plane"], axis=1),
        helper.make_node("Squeeze", ["plane", "blue1"], ["map"]),
        helper.make_node("Mul", ["map", "weight"], ["scored"]),
    ]
    names["blue1"] = np.array([1])
    for axis, (name, size) in enumerate((("rows", HEIGHT), ("columns", WIDTH)), 1):
        names |= {
            f"{name}_other": np.array([3 - axis]),
            f"{name}_last": np.array([2]),
            f"{name}_twice": np.array([1, size, 2]),
            f"{name}_flat": np.array([1, 1, 2 * size]),
            f"{name}_points": np.array([1, n_points, 2 * size]),
        }
        nodes += [
            helper.make_node("ReduceMax", ["scored", f"{name}_other"], [f"{name}_1"], keepdims=0),
            helper.make_node("Unsqueeze", [f"{name}_1", f"{name}_last"], [f"{name}_2"]),
            helper.make_node("Expand", [f"{name}_2", f"{name}_twice"], [f"{name}_3"]),
            helper.make_node("Reshape", [f"{name}_3", f"{name}_flat"], [f"{name}_4"]),
            helper.make_node("Expand", [f"{name}_4", f"{name}_points"], [name]),
        ]
    constants = [numpy_helper.from_array(value, name) for name, value in names.items()]
    outputs = {"columns": [1, n_points, 2 * WIDTH], "rows": [1, n_points, 2 * HEIGHT]}
    _save(path, nodes, constants, (3, HEIGHT, WIDTH), outputs)


def _save(path: Path, nodes: list, constants: list, shape: tuple[int, ...], outputs: dict[str, list[int]]) -> None:
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, *shape])
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name, sizes in outputs.items()]
    graph = helper.make_graph(nodes, "tiny", [picture], made, constants)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
