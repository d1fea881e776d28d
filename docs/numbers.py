"""Write the numbers of a finished run into README.md and docs/findings.md.

    python docs/numbers.py results/default

What stands between `<!-- numbers: <block> -->` and `<!-- end -->` is replaced by what the tables of
the run say. Blocks: `cost` (models, time and memory), `answers` (what the terminal says at the end)
and `claims` (verdicts on the claims of the paper).
"""

import re
import sys
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from workflow.lib.outputs.tables import read_table  # noqa: E402
from workflow.lib.show.escape import markdown  # noqa: E402
from workflow.lib.show.findings import told_findings  # noqa: E402

DOCUMENTS = ("README.md", "docs/findings.md")
BLOCK = re.compile(r"(<!-- numbers: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
CORES = 2
VERDICTS = {"yes": "holds", "no": "does not hold", "unclear": "unclear"}


def cost(folder: Path) -> str:
    """Say what the run trained, and what that took, by Snakemake's benchmarks."""
    study = yaml.safe_load((folder / "study.json").read_text(encoding="utf-8"))
    jobs = [
        pd.read_csv(file, sep="\t", na_values="-").iloc[0].to_dict() | {"rule": file.parent.name}
        for file in sorted(folder.glob("benchmarks/**/*.tsv"))
    ]
    table = pd.DataFrame(jobs)
    trained = int((table["rule"].isin(["train", "train_parent"])).sum())
    minutes = table["s"].sum() / 60 / CORES
    return (
        f"The default study trains {trained} small networks on "
        f"[Fashion-MNIST](resources/README.md) and analyses {len(study['models'])} models: "
        f"{minutes:.0f} minutes on {CORES} cores when this was written, and at most "
        f"{table['max_rss'].max():.0f} MB a job.\n"
    )


def answers(folder: Path) -> str:
    """Give what the terminal says at the end of the run."""
    text = told_findings(folder).replace(f"{folder}/", f"results/{folder.name}/").strip()
    return f"```text\n{text}\n```\n"


def claims(folder: Path) -> str:
    """Give the verdicts on the paper's claims."""
    rows = [
        f"| {row['claim']} | **{VERDICTS[row['holds']]}** | {markdown(str(row['evidence']))} |"
        for row in read_table(folder / "summary.tsv").to_dict("records")
    ]
    return "\n".join(["| claim | here | numbers |", "| --- | --- | --- |", *rows, ""])


BLOCKS = {"cost": cost, "answers": answers, "claims": claims}


def fill(text: str, folder: Path) -> str:
    """Replace every block of a document."""

    def block(found: re.Match) -> str:
        return found.group(1) + BLOCKS[found.group(2)](folder) + found.group(4)

    return BLOCK.sub(block, text)


def main() -> None:
    """Fill in the documents of this checkout."""
    if len(sys.argv) != 2:
        sys.exit("Give the results of a finished run: python docs/numbers.py results/default")
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
