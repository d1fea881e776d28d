"""Deployment cards, taken to another process: members run on image files give what they say."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json
import sys

import workflow.lib.backends  # before timm
import numpy as np
import torch
from PIL import Image
from timm.data import create_transform
from workflow.lib.models import networks

folder, name = sys.argv[1:]
sys.path.insert(0, folder)
import apply_card

card = json.load(open(f"{folder}/{name}.json"))
apply_card.check_weights(card, {member["model"]: member["file"] for member in card["members"]})
logits = []
for member in card["members"]:
    network = networks.load_classifier(member["file"], member["recipe"], len(card["classes"]))
    shown = member["input"]
    prepare = create_transform(
        (3, shown["size"], shown["size"]), crop_pct=shown["crop"], mean=shown["mean"],
        std=shown["std"], interpolation=shown["interpolation"],
    )
    images = [Image.open(f"photos/{file}").convert("RGB") for file in card["self_test"]["images"]]
    with torch.inference_mode():
        logits.append(network(torch.stack([prepare(image) for image in images]))[2].numpy())
apply_card.check(card, np.stack(logits))
found, _ = apply_card.apply(card, np.stack(logits))
print(np.abs(found - card["self_test"]["probabilities"]).max())
"""


def apply(checkout, name: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, "results/photos/deployment", name],
        cwd=checkout.path, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["single", "pair"])
def test_members_run_on_image_files_give_the_probabilities_of_the_card(finished_folder_study, name):
    checkout, _ = finished_folder_study
    card = json.loads((checkout.path / f"results/photos/deployment/{name}.json").read_text())
    assert len(card["members"]) == {"single": 1, "pair": 2}[name]
    assert len(card["self_test"]["images"]) == 20
    done = apply(checkout, name)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-4


def test_weights_that_changed_are_refused(folder_study):
    checkout, _ = folder_study
    card = json.loads((checkout.path / "results/photos/deployment/pair.json").read_text())
    file = checkout.path / card["members"][0]["file"]
    file.write_bytes(file.read_bytes() + b" ")
    done = apply(checkout, "pair")
    assert done.returncode != 0
    assert f"was made of other weights of '{card['members'][0]['model']}'" in done.stderr
