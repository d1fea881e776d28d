"""Greedy ensembles, with the names of their models: the tables that people read."""

from workflow.lib.outputs.tables import read_numbers, write_table
from workflow.lib.run.errors import InputError


def greedy(*, selected: str, table: str, first: str, members: dict[str, dict[str, str]]) -> None:
    """Write a table of greedy ensembles, and one of the best first members.

    Parameters
    ----------
    selected : str
        What `selection` found of them, by keys.
    table : str
        Table to write: its rows of members that come in, with the base's name, and name, category,
        objective and training data of who comes in.
    first : str
        Table to write, likewise: a row a protocol, combination and base, of the best first member
        without replacement, and `raises`, whether it raises the accuracy that is selected by.
    members : dict of str to dict of str to str
        Name and so on of each base and each model of the pool.

    Raises
    ------
    InputError
        If there are no greedy ensembles.
    """
    rows = read_numbers(selected)
    if rows.empty:
        raise InputError("greedy.bases and greedy.pool must each name a model")
    names = rows["base"].map(lambda key: members[key]["name"])
    rows.insert(rows.columns.get_loc("base") + 1, "base_name", names)
    for field in ("train_data", "objective", "category", "name"):
        values = [members[key][field] for key in rows["model"]]
        rows.insert(rows.columns.get_loc("model") + 1, field, values)
    enters = rows.pop("refused") == "False"
    write_table(table, rows[enters])
    starts = (rows["step"] == "1") & (rows["replacement"] == "False")
    write_table(first, rows[starts].assign(raises=enters))


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(greedy, snakemake)
