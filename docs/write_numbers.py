"""Write the numbers of a finished run into README.md and docs/findings.md.

    python docs/write_numbers.py results/default

What stands between `<!-- numbers: <block> -->` and `<!-- end -->` is replaced by what the tables of
the run say. Blocks: `cost` (models, time and memory), `answers` (those of the terminal),
`claims` (verdicts on the claims of the paper) and `card` (what a deployment card holds).
"""

import json
import re
import sys
import textwrap
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.study import jobs_of  # noqa: E402
from workflow.lib.outputs.tables import read_table  # noqa: E402
from workflow.lib.show.escape import markdown  # noqa: E402

DOCUMENTS = ("README.md", "docs/findings.md")
BLOCK = re.compile(r"(<!-- numbers: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
VERDICTS = {"yes": "holds", "no": "does not hold", "unclear": "unclear"}


def cost(folder: Path) -> str:
    """Say what the run trained, what its jobs say they used, and the most memory of one."""
    study = yaml.safe_load((folder / "study.json").read_text(encoding="utf-8"))
    jobs = jobs_of(folder)
    trained = int((jobs["rule"].isin(["train", "train_parent"])).sum())
    minutes = jobs["cpu"].sum() / 60
    return (
        f"It trains {trained} small networks on [Fashion-MNIST](resources/README.md) and analyses\n"
        f"{len(study['models'])} models: {minutes:.0f} processor minutes, and at most "
        f"{jobs['max_rss'].max():.0f} MB a job.\n"
    )


def answers(folder: Path) -> str:
    """Give the answers that the terminal says at the end of the run."""
    told = read_table(folder / "findings.tsv")["answer"]
    quoted = ["".join(f"> {line}\n" for line in textwrap.wrap(text, 110)) for text in told]
    return ">\n".join(quoted)


def claims(folder: Path) -> str:
    """Give the verdicts on the paper's claims."""
    rows = [
        f"| {row['claim']} | **{VERDICTS[row['holds']]}** | {markdown(str(row['evidence']))} |"
        for row in read_table(folder / "summary.tsv").to_dict("records")
    ]
    return "\n".join(["| claim | here | numbers |", "| --- | --- | --- |", *rows, ""])


def card(folder: Path) -> str:
    """Say what the card of the recommended cascade holds."""
    own = json.loads((folder / "deployment/cascade.json").read_text(encoding="utf-8"))
    first, *rest = (f"`{member['model']}`" for member in own["members"])
    right = own["expected"]["accuracy"]
    then = "the last answers" if own["then"] == "larger" else "all that ran answer"
    value, low, high = (100 * right[key] for key in ("value", "low", "high"))
    text = (
        f"The card of a cascade: {first} answers the {100 * own['exits']:.1f} % of the images on "
        f"which it is at least {100 * own['thresholds'][0]:.1f} % sure; else {' and '.join(rest)} "
        f"may run, and {then}: {value:.2f} % ({low:.2f} to {high:.2f}) right, at "
        f"{own['macs'] / 1e6:.1f} million multiply-adds an image."
    )
    return textwrap.fill(text, 112) + "\n"


BLOCKS = {"cost": cost, "answers": answers, "claims": claims, "card": card}


def fill(text: str, folder: Path) -> str:
    """Replace every block of a document."""

    def block(found: re.Match) -> str:
        return found.group(1) + BLOCKS[found.group(2)](folder) + found.group(4)

    return BLOCK.sub(block, text)


def main() -> None:
    """Fill in the documents of this checkout."""
    if len(sys.argv) != 2:
        sys.exit("Give the results of a finished run: python docs/write_numbers.py results/default")
    folder = Path(sys.argv[1])
    for name in DOCUMENTS:
        path = ROOT / name
        before = path.read_text(encoding="utf-8")
        after = fill(before, folder)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"Wrote {name}")


if __name__ == "__main__":
    main()
