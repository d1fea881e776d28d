"""Tables come back as they were written, whatever models and classes are called."""

import numpy as np
import pandas as pd

from workflow.lib.outputs.tables import read_table


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
    table.to_csv(tmp_path / "table.tsv", sep="\t", index=False)
    back = read_table(tmp_path / "table.tsv")
    for column in table:
        assert back[column].isna().tolist() == table[column].isna().tolist()
        assert back[column].dropna().tolist() == table[column].dropna().tolist()


def test_flags_of_an_empty_table_choose_no_row(tmp_path):
    (tmp_path / "table.tsv").write_text("model_1\twith_base\tmain\n")
    back = read_table(tmp_path / "table.tsv")
    assert len(back[back["with_base"] & back["main"]]) == 0
