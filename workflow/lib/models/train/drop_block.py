"""DropBlock (Ghiasi, Lin and Le 2018)."""

import workflow.lib.backends  # noqa: F401  (before open_clip)

# isort: split
from collections.abc import Callable, Mapping

import torch
from timm.models.resnet import Bottleneck
from torch import Tensor, nn
from torch.nn import functional as F

from workflow.lib.run.errors import InputError


def drop_block(maps: Tensor, share: float, size: int = 7) -> Tensor:
    """Set square blocks of feature maps to 0, and scale up the rest to make good for them.

    Parameters
    ----------
    maps : Tensor, shape (images, channels, height, width)
    share : float
        Of the values to drop, from 0 to 1; a little less is dropped, since blocks overlap.
    size : int
        Height and width of a block, at most those of a map. Blocks lie inside the map.

    Notes
    -----
    Ghiasi, Lin and Le (2018), algorithm 1, each channel on its own as in their published code
    (`dropblock` in models/official/resnet/resnet_model.py of github.com/tensorflow/tpu).
    """
    images, channels, height, width = maps.shape
    size = min(size, height, width)
    rows, columns = height - size + 1, width - size + 1  # where the corner of a block can lie
    rate = share * height * width / size**2 / (rows * columns)
    corners = maps.new_empty(images, channels, rows, columns).bernoulli_(rate)
    blocks = F.max_pool2d(F.pad(corners, [size - 1] * 4), size, stride=1)
    kept = 1 - blocks
    left = kept.mean(dtype=torch.float32).clamp(min=1 / kept.numel())
    return maps * kept / left.to(maps.dtype)


def add_drop_block(network: nn.Module, recipe: Mapping, progress: Callable[[], float]) -> None:
    """Let a ResNet in training drop blocks where and as Ghiasi, Lin and Le (2018) did.

    That is after each of the three normalisations of a block, and on its shortcut, with a share
    that grows evenly from 0 to its final value, and is divided by 4 for each stage before the
    last (github.com/tensorflow/tpu, models/official/resnet/resnet_main.py). timm's own
    `drop_block_rate` differs: only after the second normalisation, in stages 3 and 4 alone, at a
    constant share. No tensor is added, so the checkpoint is that of the plain network.

    Parameters
    ----------
    network : nn.Module
        A timm ResNet of bottleneck blocks.
    recipe : mapping
        `drop_block_stages`, among 1 to 4, and `drop_block_keep`, 1 less the final share.
    progress : callable
        Gives the share of the training that is done.

    Raises
    ------
    InputError
        If the network is another.
    """
    for stage in recipe["drop_block_stages"]:
        blocks = getattr(network, f"layer{stage}", ())
        if not blocks or not all(isinstance(block, Bottleneck) for block in blocks):
            raise InputError(
                f"drop_block_stages: stage {stage} of the architecture "
                f"'{recipe['architecture']}' is not of a ResNet's bottleneck blocks; "
                f"leave it out, or take a ResNet of 50 layers or more"
            )
        final = (1 - recipe["drop_block_keep"]) / 4 ** (4 - stage)

        def hook(module, _, maps, final=final):
            return drop_block(maps, final * progress()) if module.training else maps

        for block in blocks:
            block.downsample = block.downsample or nn.Identity()
            for module in (block.bn1, block.bn2, block.bn3, block.downsample):
                module.register_forward_hook(hook)
