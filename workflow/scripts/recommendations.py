"""Which models are worth combining: the best pairs and triples, with the names of their models."""

from workflow.lib.outputs.tables import read_numbers, write_table


def recommendations(
    *, selected: str, table: str, members: dict[str, dict[str, str]], combination: str
) -> None:
    """Write a table of single models, and of the pairs and triples worth knowing.

    Parameters
    ----------
    selected : str
        What `selection` found of them, by keys.
    table : str
        Table to write, of the rows of the combination: names and categories of the models are
        beside their keys.
    members : dict of str to dict of str to str
        Name and category of each model.
    combination : str
    """
    rows = read_numbers(selected).query("combination == @combination")
    rows = rows.drop(columns="combination")
    keys = rows["models"].str.split(" + ", regex=False)
    for column, field in (("categories", "category"), ("names", "name")):
        joined = [" + ".join(members[key][field] for key in own) for own in keys]
        rows.insert(rows.columns.get_loc("models") + 1, column, joined)
    write_table(table, rows)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(recommendations, snakemake)
