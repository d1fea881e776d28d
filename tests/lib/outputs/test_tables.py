"""Tables come back as they were written, whatever models and classes are called."""

import subprocess

import numpy as np
import pandas as pd
import pytest

from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.run.errors import InputError


def test_a_table_survives(tmp_path):
    table = pd.DataFrame(
        {
            "model": ["50", "null", "1e5"],
            "name": ["152", "007", "nan"],
            "class": ["NA", "007", "nan"],
            "label": [0, 1, 2],
            "theta": [0.1, np.nan, 1 / 3],
            "specialist": [None, "50", None],
            "union": [True, False, True],
        }
    )
    write_table(tmp_path / "table.tsv", table)
    assert (tmp_path / "table.tsv").read_text() == table.to_csv(sep="\t", index=False)
    back = read_table(tmp_path / "table.tsv")
    for column in table:
        assert back[column].isna().tolist() == table[column].isna().tolist()
        assert back[column].dropna().tolist() == table[column].dropna().tolist()


def test_flags_of_an_empty_table_choose_no_row(tmp_path):
    (tmp_path / "table.tsv").write_text("model_1\twith_base\tmain\n")
    back = read_table(tmp_path / "table.tsv")
    assert len(back[back["with_base"] & back["main"]]) == 0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda b: b.replace(b"0.25", b"0.35"), "table.tsv was altered or damaged"),
        (lambda b: b[: b.rindex(b"b")], "table.tsv was altered or damaged"),
        (lambda b: b + b"c\t1\n", "table.tsv was altered or damaged"),
        (lambda b: b"", "table.tsv is empty"),
    ],
)
def test_a_damaged_table_is_named(tmp_path, spoil, message):
    path = tmp_path / "table.tsv"
    write_table(path, pd.DataFrame({"model": ["a", "b"], "accuracy": [0.25, 0.5]}))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match=f"{message}.*; delete it and run again"):
        read_table(path)


@pytest.mark.parametrize(
    "text", ["\n", "a\tb\n1\t2\t3\n1\t2\t3\t4\n", "main\nperhaps\n", "a\n\xff\n"]
)
def test_what_is_no_table_is_named_where_no_digest_tells(tmp_path, text):
    (tmp_path / "table.tsv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"table.tsv is no table .*; delete it and run again"):
        read_table(tmp_path / "table.tsv")
    with pytest.raises(InputError, match=r"there is no file .*other.tsv"):
        read_table(tmp_path / "other.tsv")


def test_anybody_can_check_the_digest(tmp_path):
    write_table(tmp_path / "table.tsv", pd.DataFrame({"model": ["a"]}))
    subprocess.run(["sha256sum", "-c", ".table.tsv.sha256"], cwd=tmp_path, check=True)
