"""Which image models make different mistakes, why, and what is gained by combining them.

    dataset -> images -> models -> outputs -> calibration -> pairs, specialisation, ensembles
    outputs -> features, downstream         all of them -> figures, tables, summary, report

A study is one configuration file; its results go to results/<study>/. `config.yaml` is the default
study, `--configfile studies/<name>.yaml` another. The rules of each stage are in workflow/rules/.
"""

from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from workflow.lib.fingerprint import fingerprint
from workflow.lib.jobs import discard_kept
from workflow.lib.layouts import source_files, source_listing
from workflow.lib.slurm import cancel_left_behind, run_rules_here
from workflow.lib.study.load import ConfigurationError, as_dicts, load, recall, record

min_version("9.0")

# A study given on the command line stands alone: Snakemake would merge the default one into it.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


if not workflow.is_main_process:
    recall(config)
try:
    STUDY = load(config, workflow.configfiles)
except ConfigurationError as error:
    raise WorkflowError(str(error)) from None

# As the rules still want them; see `as_dicts`.
STUDIES = as_dicts(STUDY)
PUBLISHED = [name for name, study in STUDIES.items() if study.get("published")]
MEASURED = [name for name in STUDIES if name not in PUBLISHED]


wildcard_constraints:
    study="|".join(STUDIES),
    model="[a-z0-9]+(-[a-z0-9]+)*",
    split="[a-z0-9]+(-[a-z0-9]+)*",


onstart:
    record(STUDY)
    jobs = cancel_left_behind(workflow.workdir_init)
    if jobs:
        print(f"Cancelled jobs of an earlier run that was killed: {' '.join(jobs)}", flush=True)


onsuccess:
    for name in MEASURED:
        discard_kept(Path("results", name))


include: "workflow/rules/dataset.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/outputs.smk"
include: "workflow/rules/calibration.smk"
include: "workflow/rules/pairs.smk"
include: "workflow/rules/specialisation.smk"
include: "workflow/rules/ensembles.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/downstream.smk"
include: "workflow/rules/sensitivity.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/report.smk"


rule all:
    """Every figure and table, the summary and the report of the study and of those alongside it."""
    default_target: True
    input:
        expand(
            "results/{study}/{file}",
            study=STUDIES,
            file=["summary.md", "report.html"],
        ),
        expand(
            "results/{study}/tables/table{number}.{kind}",
            study=STUDIES,
            number=[1, 2, 3, 4],
            kind=["tsv", "md", "tex"],
        ),
        [
            f"results/{name}/figures/{figure}.{kind}"
            for name, study in STUDIES.items()
            for figure in study["figures"]
            for kind in ["pdf", "svg", "png", "tsv"]
        ],
        # A missing file is told here: Snakemake would be content with older results of that model.
        lambda w: [
            brought_file(STUDY, model)
            for name in MEASURED
            for model in STUDIES[name]["models"]
            if model in BROUGHT
        ],


if workflow.remote_exec:
    run_rules_here(workflow)
