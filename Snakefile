"""Which image models make different mistakes, why, and what is gained by combining them.

    dataset -> images -> models -> outputs -> calibration -> pairs, specialisation, ensembles
    outputs -> features, downstream         all of them -> figures, tables, summary, report

A study is one configuration file, config.yaml or that of `--configfile`; its results go to
results/<study>/. The rules of each stage are in workflow/rules/<stage>.smk.
"""

from snakemake.utils import min_version

from workflow.lib.run.fingerprint import fingerprint
from workflow.lib.study.load import load

min_version("9.14")

# A study given on the command line stands alone: Snakemake would merge the default one into it.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


STUDY = load(config, workflow.configfiles, in_job=not workflow.is_main_process)


pathvars:
    results=f"results/{STUDY.name}",


wildcard_constraints:
    model="[a-z0-9]+(-[a-z0-9]+)*",
    split="[a-z0-9]+(-[a-z0-9]+)*",


for stage in STUDY.stages:  # data, models, outputs, measures, ensembles, probes … report

    include: f"workflow/rules/{stage}.smk"


if STUDY.alongside:

    module paper:
        pathvars:
            results=f"results/{STUDY.alongside.name}",
        snakefile:
            "workflow/rules/published.smk"
        config:
            STUDY.alongside.file

    use rule * from paper as paper_*


rule all:
    default_target: True
    input:
        rules.study.input,
        rules.paper_study.input if STUDY.alongside else [],


include: "workflow/rules/run.smk"
