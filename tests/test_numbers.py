"""The numbers in README.md and docs/findings.md are those of a run."""

import importlib.util
import json
from pathlib import Path

import pandas as pd
import pytest

from workflow.lib.outputs.tables import write_table

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def numbers():
    spec = importlib.util.spec_from_file_location("numbers", ROOT / "docs/write_numbers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path):
    """What a finished run leaves, as far as documents speak of it."""
    folder = tmp_path / "results/default"
    for rule, name, seconds in (("train", "a", 60), ("train_parent", "b", 120), (".", "report", 4)):
        place = folder / "benchmarks" / rule
        place.mkdir(parents=True, exist_ok=True)
        row = {"s": 9 * seconds, "max_rss": 100 + seconds}
        pd.DataFrame([row]).to_csv(place / f"{name}.tsv", sep="\t", index=False)
        log = folder / "logs" / rule / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"12:00:00 Processor seconds: {seconds:.2f}, of which importing: 1.00\n")
    (folder / "study.json").write_text(json.dumps({"models": {"a": 1, "b": 2, "c": 3}}))
    write_table(
        folder / "findings.tsv",
        pd.DataFrame([("Which?", "Combine A and B.", "Why.")],
                     columns=["question", "answer", "detail"]),
    )  # fmt: skip
    claim = {"claim": "It grows.", "holds": "no", "evidence": "r = 0.1 | so", "section": "figure1"}
    write_table(folder / "summary.tsv", pd.DataFrame([claim]))
    (folder / "deployment").mkdir()
    card = {"members": [{"model": "small"}, {"model": "large"}], "thresholds": [0.5], "exits": 0.9,
            "then": "ensemble", "macs": 2.5e6,
            "expected": {"accuracy": {"value": 0.91, "low": 0.9, "high": 0.92}}}  # fmt: skip
    (folder / "deployment/cascade.json").write_text(json.dumps(card))
    return folder


def test_blocks_are_replaced_and_all_else_is_kept(numbers, run):
    text = "Before.\n<!-- numbers: {} -->\nFormer.\n<!-- end -->\nAfter.\n"
    found = {name: numbers.fill(text.format(name), run) for name in numbers.BLOCKS}
    for name, filled in found.items():
        assert filled.startswith(f"Before.\n<!-- numbers: {name} -->\n") and "Former" not in filled
        assert filled.endswith("<!-- end -->\nAfter.\n")
        assert numbers.fill(filled, run) == filled
    assert "trains 2 small networks" in found["cost"] and "3 models" in found["cost"]
    assert "3 processor minutes" in found["cost"] and "220 MB" in found["cost"]
    card = " ".join(found["card"].split())
    assert "`small` answers the 90.0 % of the images on which it is at least 50.0 % sure" in card
    assert "91.00 % (90.00 to 92.00) right, at 2.5 million multiply-adds" in card
    assert "> Combine A and B." in found["answers"]
    assert r"| It grows. | **does not hold** | r = 0.1 \| so |" in found["claims"]


@pytest.mark.parametrize("name", ["README.md", "docs/findings.md"])
def test_blocks_of_the_documents_are_known(numbers, name):
    text = (ROOT / name).read_text()
    blocks = numbers.BLOCK.findall(text)
    assert text.count("<!-- numbers:") == len(blocks)
    assert {block[1] for block in blocks} <= set(numbers.BLOCKS)
