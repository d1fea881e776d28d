"""The door to torch: import this module before timm or open_clip.

It keeps away what nothing here uses, and what would take more time to import than torch itself:

- torchvision's operators and models, of which timm and open_clip want one small class. The
  registry's operators need CUDA libraries besides: beside a CPU build of torch they do not load.
- `torch._dynamo`, the compiler, which timm touches when it is imported, each optimiser in its first
  step, and the counter of multiply-adds. It is imported as soon as something is compiled.
- `torch.distributed.tensor`, for which one of timm's optimisers looks.

Where a program has imported torchvision or the compiler before, they stay.

And it has glibc keep the memory that a step frees, for the next, instead of giving it back to the
system and asking for it again, page by page.
"""

import contextlib
import ctypes
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's mallopt(3)
KEPT = {TRIM_THRESHOLD: 1 << 30, MMAP_THRESHOLD: 32 << 20}  # bytes; more of the latter is refused
COMPILER = "torch._dynamo"
TENSORS = "torch.distributed.tensor"


class _Compiler(ModuleType):
    """Stands in for the compiler until something is asked of it that matters without one."""

    config = SimpleNamespace()

    def __init__(self) -> None:
        super().__init__(COMPILER)
        self.disabled: list[Callable] = []

    @staticmethod
    def graph_break() -> None:
        """Do nothing, as outside of a compiled graph."""

    def disable(
        self, function: Callable, recursive: bool = True, wrapping: bool = True
    ) -> Callable:
        """Give what the compiler leaves alone: as long as it is not there, the function itself.

        torch calls this at the first call of a function that is marked so, with no wrapping, and
        remembers what it gets as an attribute of the function.
        """
        if wrapping:
            return self.__getattr__("disable")(function, recursive)
        self.disabled.append(function)
        return function

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # that a submodule is looked for in
            raise AttributeError(name)
        if sys.modules.get(COMPILER) is self:
            del sys.modules[COMPILER]
        module = importlib.import_module(COMPILER)
        for key, value in vars(self.config).items():
            setattr(module.config, key, value)
        while self.disabled:  # from now on truly
            delattr(self.disabled.pop(), "__dynamo_disable")
        return getattr(module, name)


def _postpone_compiler() -> None:
    """Import it when it is used, and not when a function is marked as one that it leaves alone."""
    sys.modules[COMPILER] = torch._dynamo = _Compiler()
    torch.compiler.disable = torch._disable_dynamo


def _keep_memory() -> None:
    """Set how much freed memory stays with this process, where the C library has such a setting."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in KEPT.items():
            mallopt(option, value)


def _shell(name: str) -> ModuleType:
    """Make a package whose modules can be imported and whose own code does not run."""
    spec = importlib.util.find_spec(name)
    assert spec and spec.submodule_search_locations
    package = ModuleType(name)
    package.__spec__, package.__file__ = spec, spec.origin
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = package
    return package


if COMPILER not in sys.modules:
    _postpone_compiler()
if "torchvision" not in sys.modules:
    vars(_shell("torchvision")).update(
        __version__=importlib.metadata.version("torchvision"),
        get_image_backend=lambda: "PIL",  # as it is by default; its datasets ask for it
        ops=_shell("torchvision.ops"),
    )
    sys.modules["torchvision.models"] = None  # type: ignore[assignment]  # timm does without
if not {"timm", TENSORS} & sys.modules.keys():
    sys.modules[TENSORS] = None  # type: ignore[assignment]
    try:
        importlib.import_module("timm.optim")
    finally:
        del sys.modules[TENSORS]
_keep_memory()
