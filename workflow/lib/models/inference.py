"""A network run over prepared images in order: at the speed of its forward pass, in flat memory.

While a batch is computed, threads read the next ones, and a GPU has work waiting while results are
stored. Batches shrink when memory runs out.
"""

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import logging
from collections import deque

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workflow.lib.data.images import Images
from workflow.lib.models.networks import Classifier
from workflow.lib.run.errors import InputError

log = logging.getLogger("uncorrelated")

# How far a head on the features may be from the network's own outputs, as these are rounded.
PRECISIONS = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}


class Inference:
    """Logits and features of rows of images.

    Call it for blocks of rows that follow one another. Where the head is linear, it must turn the
    features into the outputs: so features are never silently of the wrong layer or axis.

    Parameters
    ----------
    classifier : Classifier
        On the device of the images.
    images : Images
    model : str
        Its key, for messages.
    precision : {'float32', 'float16', 'bfloat16'}
        What the network computes in, by torch's autocast. A linear head computes in float32 always:
        logits rounded to a dozen bits would tie.
    batch_size : int
        Images at a time. It changes results by rounding only.
    compile : bool
        Whether to compile the network by `torch.compile`.
    """

    def __init__(
        self,
        classifier: Classifier,
        images: Images,
        *,
        model: str,
        precision: str = "float32",
        batch_size: int = 256,
        compile: bool = False,
    ):
        self.images, self.model, self.precision = images, model, precision
        self.batch_size, self.compiled = batch_size, compile
        self.taken = False  # whether the network has taken a batch
        self.gpu = images.device.type == "cuda"
        # Convolutions are faster so, but not in float32 on a GPU.
        fast = precision != "float32" or not self.gpu
        self.layout = torch.channels_last if fast else torch.contiguous_format
        self.classifier = classifier.to(memory_format=self.layout)
        self.network = torch.compile(self.classifier, dynamic=False) if compile else self.classifier
        self._begin(0)

    def _begin(self, row: int) -> None:
        self.row = self.launched = row  # first rows that are not handed out, and not launched
        self.waiting = deque()
        self.pixels = self.images.stream(row, self.batch_size)

    def __call__(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute float32 logits (rows, classes) and features (rows, dimensions).

        Raises
        ------
        InputError
            If the network does not fit the memory even with one image, if it cannot be compiled or
            cannot take the images, or if its head does not take the features.
        """
        start, stop = int(rows[0]), int(rows[-1]) + 1
        while True:
            try:
                return self._take(start, stop)
            except torch.OutOfMemoryError as error:
                if self.batch_size == 1:
                    raise InputError(
                        f"the memory of {torch.cuda.get_device_name() if self.gpu else 'the CPU'} "
                        f"is too small for one image of the model '{self.model}'; free it of other "
                        f"programs, take a larger one, or set extraction.precision: bfloat16"
                    ) from error
            except torch._dynamo.exc.TorchDynamoException as error:
                raise InputError(
                    f"the model '{self.model}' cannot be compiled here: "
                    f"{str(error).strip().splitlines()[0]}; set extraction.compile: false"
                ) from error
            # Only here: the error held on to the tensors of the batch that failed.
            self.batch_size //= 2
            self._begin(start)
            if self.gpu:
                torch.cuda.empty_cache()
            log.warning("out of memory; continuing with batches of %d", self.batch_size)

    def _take(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        if start != self.row:
            self._begin(start)
        # A GPU gets the next block to do before we wait for this one.
        until = min(stop + (stop - start) * self.gpu, len(self.images))
        while self.launched < until:
            pixels = next(self.pixels)
            self.waiting.append(self._launch(pixels))
            self.launched += len(pixels)
        parts = []
        while self.row < stop:
            logits, features, error, done = self.waiting.popleft()
            if done is not None:
                done.synchronize()
            if float(error) > PRECISIONS[self.precision]:
                raise InputError(
                    f"the head of '{self.model}' does not turn its features into its logits, so "
                    f"they are not those of its last layer; the architecture is not supported"
                )
            count = min(len(logits), stop - self.row)
            parts.append((logits[:count].numpy(), features[:count].numpy()))
            if count < len(logits):
                self.waiting.appendleft((logits[count:], features[count:], error, done))
            self.row += count
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))

    @torch.inference_mode()
    def _launch(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, torch.cuda.Event | None]:
        """Logits, features, what the head is off by, on the CPU once the event is reached."""
        count, missing = len(pixels), self.batch_size - len(pixels)
        if self.compiled and missing:  # another shape would be compiled anew
            pixels = torch.cat([pixels, pixels[:1].expand(missing, -1, -1, -1)])
        reduced = self.precision != "float32"
        dtype = getattr(torch, self.precision) if reduced else None
        with torch.autocast(self.images.device.type, dtype, enabled=reduced):
            pixels = self.images.normalise(pixels, self.layout)
            try:
                results = self.network(pixels)
            except (AssertionError, RuntimeError) as error:
                # Kinds of their own, such as out of memory, say nothing of the images.
                if self.taken or type(error) not in (AssertionError, RuntimeError):
                    raise
                raise InputError(self._refusal(pixels, error)) from error
        self.taken = True
        features, outputs, logits = (values[:count].float() for values in results)
        head, deviation = self.classifier.head, torch.zeros(())
        if isinstance(head, (nn.Linear, nn.Conv2d)):  # some have a convolution of one pixel
            expected = F.linear(features, head.weight.flatten(1), head.bias)
            # A NaN is refused, with the image's name, when it is written.
            deviation = (expected - outputs).abs().nan_to_num().max() / (expected.abs().max() + 1)
            if reduced:
                logits = self.classifier.map_classes(expected)
        results = (x.to("cpu", non_blocking=True) for x in (logits, features, deviation))
        return *results, torch.cuda.current_stream().record_event() if self.gpu else None

    def _refusal(self, pixels: Tensor, error: Exception) -> str:
        """Say that the network does not take images like these; the log keeps all of the error."""
        log.info("what the network says of its first batch:", exc_info=error)
        height, width = pixels.shape[-2:]
        shown, size = f"{height} x {width}", f"[{height}, {width}]"
        if height == width:
            shown = size = str(height)
        problem = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        return (
            f"the model '{self.model}' cannot take images of {shown} pixels: {problem}; leave out "
            f"input.size, or give timm's options: {{img_size: {size}}}"
        )
