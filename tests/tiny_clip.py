"""A small CLIP of open_clip's kind with random weights."""

import json
from pathlib import Path

import torch

import workflow.lib.backends  # noqa: F401  (before open_clip)

# isort: split
import open_clip

from workflow.lib.models import networks
from workflow.lib.models.clip import TextTower, whole_model

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 64, "layers": 1, "width": 64, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}


def register(folder: Path) -> None:
    """Let open_clip know it by the name `tiny-clip`."""
    (folder / "tiny-clip.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(folder / "tiny-clip.json")


def write_checkpoint(folder: Path, **more) -> tuple[torch.nn.Module, Path]:
    """Make one, and its checkpoint, whose recipe has `more`."""
    register(folder)
    torch.manual_seed(0)
    model = whole_model(TINY).eval()
    recipe = {"open_clip": "tiny-clip", "clip": TINY, "head": "pretraining", **more}
    networks.save(folder / "clip.safetensors", recipe, model.visual, clip=TextTower(model))
    return model, folder / "clip.safetensors"
