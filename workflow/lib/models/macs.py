"""What a network costs on any machine: multiply-adds for one image."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@torch.no_grad()
def count_macs(network: nn.Module, channels: int, size: int | list[int]) -> int:
    """Count the multiply-adds of products of matrices, convolutions and attention for one image.

    Parameters
    ----------
    network : nn.Module
        Left as it is.
    channels : int
    size : int or list of int
        Of the image: height and width, or both.

    Returns
    -------
    int
        Half of what `torch.utils.flop_counter` counts, which takes a multiply-add for two.
    """
    height, width = (size, size) if isinstance(size, int) else size
    like = next(network.parameters())
    image = torch.zeros(1, channels, height, width, device=like.device, dtype=like.dtype)
    with FlopCounterMode(display=False) as counter:
        network(image)
    return counter.get_total_flops() // 2
