"""CLIPs: image towers with text towers, those trained here and those of open_clip.

A checkpoint holds the image tower as its network, and all the rest under `extra.clip.`. The recipe
of one from open_clip has in `clip` what open_clip builds it from.
"""

import workflow.lib.backends  # noqa: F401  (before open_clip)

# isort: split
from collections.abc import Mapping
from copy import deepcopy

from open_clip.coca_model import CoCa
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP, _build_vision_tower
from torch import Tensor, nn


def text_image_model(recipe: Mapping, network: nn.Module) -> CLIP:
    """Build open_clip's model around a timm network that gives `projection` outputs."""
    clip = CLIP(
        recipe["projection"],
        # open_clip builds a vision tower of its own; a tiny one, which ours takes the place of.
        CLIPVisionCfg(layers=1, width=64, patch_size=8, image_size=8),
        CLIPTextCfg(
            context_length=recipe["context"],
            width=recipe["text_width"],
            heads=max(1, recipe["text_width"] // 64),
            layers=recipe["text_layers"],
        ),
    )
    clip.visual = network
    return clip


class TextTower(nn.Module):
    """A CLIP without its image tower, whose tensors are stored as those of the network."""

    def __init__(self, clip: nn.Module):
        super().__init__()
        self.clip = [clip]

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors by the names that CLIP gives them."""
        state = self.clip[0].state_dict()
        return {key: tensor for key, tensor in state.items() if not key.startswith("visual.")}


def image_tower(config: Mapping) -> nn.Module:
    """Build the image tower of one of open_clip's models with fresh weights.

    Parameters
    ----------
    config : mapping
        The model's configuration, as open_clip's `get_model_config` gives it.
    """
    config = _without_downloads(config)
    return _build_vision_tower(
        config["embed_dim"], config["vision_cfg"], config.get("quick_gelu", False)
    )


def whole_model(config: Mapping) -> nn.Module:
    """Build one of open_clip's models with fresh weights, as its `create_model` does."""
    config = _without_downloads(config)
    custom = config.pop("custom_text", False) or "hf_model_name" in config["text_cfg"]
    if not custom:
        return CLIP(**config)
    return (CoCa if "multimodal_cfg" in config else CustomTextCLIP)(**config)


def _without_downloads(config: Mapping) -> dict:
    """Copy a configuration so that no tower of it starts from weights of its own."""
    copy = deepcopy(dict(config))
    if "timm_model_name" in copy["vision_cfg"]:
        copy["vision_cfg"]["timm_model_pretrained"] = False
    if "hf_model_name" in copy["text_cfg"]:
        copy["text_cfg"]["hf_model_pretrained"] = False
    return copy
