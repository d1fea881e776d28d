"""What `workflow.lib.backends` keeps away stays away from a training, and comes when it is used."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # each is a process that imports torch

ROOT = Path(__file__).resolve().parents[2]

TRAINING = """
import sys
import workflow.lib.backends
import open_clip, timm, torch
from timm.data import create_transform, resolve_model_data_config
from timm.optim import create_optimizer_v2
from workflow.lib.models.macs import count_macs

network = timm.create_model("test_resnet", num_classes=4)
create_transform(**resolve_model_data_config(network))
for name in ("adamw", "sgd", "lamb", "muon"):
    optimiser = create_optimizer_v2(network, name, lr=0.1)
    network(torch.ones(2, 3, 32, 32)).sum().backward()
    optimiser.step()
    optimiser.zero_grad()
    optimiser.load_state_dict(optimiser.state_dict())
count_macs(network.eval(), 3, 32)
for name in ("torch._dynamo.config", "torch._inductor", "torch.distributed.tensor", "sympy",
             "torchvision.models.resnet", "torchvision.ops.boxes"):
    print(name in sys.modules)
"""

COMPILING = """
import workflow.lib.backends
import timm, torch

network = timm.create_model("test_resnet").eval()
images = torch.ones(2, 3, 32, 32)
with torch.inference_mode():
    compiled = torch.compile(network, backend="eager")
    print(torch.equal(compiled(images), network(images)))
    print(torch._dynamo.config.cache_size_limit == 1_000_000)  # as timm wants it
    print(hasattr(torch._dynamo, "optimize"))
"""

LATER = """
import workflow.lib.backends
import torch

@torch.compiler.disable
def alone(x):
    return x + torch.compiler.is_compiling()

def whole(x):
    return alone(x) + torch.compiler.is_compiling()

print(int(whole(torch.zeros(()))) == 0)  # before the compiler is there
print(int(torch.compile(whole, backend="eager")(torch.zeros(()))) == 1)
print(int(whole(torch.zeros(()))) == 0)
"""

BEFORE = """
import sys
import torch._dynamo
compiler = sys.modules["torch._dynamo"]
import workflow.lib.backends
import timm
print(sys.modules["torch._dynamo"] is compiler, torch._dynamo is compiler)
"""


def run(code: str) -> list[str]:
    command = [sys.executable, "-W", "error::UserWarning", "-c", code]
    return subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()


def test_a_training_imports_neither_the_compiler_nor_what_torchvision_has_for_others():
    assert run(TRAINING) == 6 * ["False"]


def test_the_compiler_comes_when_something_is_compiled():
    assert run(COMPILING) == 3 * ["True"]


def test_a_function_that_the_compiler_leaves_alone_stays_so_if_it_was_called_before():
    assert run(LATER) == 3 * ["True"]


def test_a_compiler_that_was_there_before_stays():
    assert run(BEFORE) == ["True", "True"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_memory_that_a_step_frees_stays_for_the_next():
    """Otherwise each array of 20 MB may be asked for anew, 4 kB at a time: 240,000 times."""
    text = (
        "import resource, torch\n"
        "for _ in range(3): torch.ones(2_500_000, dtype=torch.float64).sum()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(50): torch.ones(2_500_000, dtype=torch.float64).sum()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )
    assert int(run("import workflow.lib.backends\n" + text)[0]) < 5000
