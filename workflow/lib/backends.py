"""Make torchvision importable beside a build of torch that its wheel was not compiled for.

The registry's torchvision needs CUDA libraries; beside a CPU build of torch its compiled operators
do not load, and its import fails because their schemas are missing. Import this module before timm
or open_clip. It declares the schemas only where the compiled operators cannot load; nothing here
calls them.
"""

import importlib.util
from pathlib import Path

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def _operators_load() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    try:
        for library in Path(spec.origin).parent.glob("_C.*"):
            torch.ops.load_library(str(library))
    except OSError:
        return False
    return hasattr(torch.ops.torchvision, "nms")


if not _operators_load():
    _library = torch.library.Library("torchvision", "FRAGMENT")
    for _schema in _SCHEMAS:
        _library.define(_schema)
