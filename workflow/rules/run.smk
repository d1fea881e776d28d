"""What happens before and after the jobs of a run, and inside a job of a cluster."""

from pathlib import Path

from workflow.lib.run.lock import lock_results
from workflow.lib.run.resume import discard_kept
from workflow.lib.run.slurm import cancel_left_behind, run_rules_here
from workflow.lib.run.terminal import be_brief
from workflow.lib.run.warm import start_jobs_warm
from workflow.lib.show.findings import told_findings, told_problems
from workflow.lib.study.load import record

be_brief(workflow, lambda: told_findings(f"results/{STUDY.name}"))
start_jobs_warm()


onstart:
    lock_results(f"results/{study.name}" for study in (STUDY, STUDY.alongside) if study)
    record(STUDY)
    jobs = cancel_left_behind(workflow.workdir_init)
    if jobs:
        logger.warning(f"Cancelled jobs of an earlier run that was killed: {' '.join(jobs)}")


onsuccess:
    discard_kept(Path("results", STUDY.name))
    for problem in told_problems(f"results/{STUDY.name}/calibration.tsv"):
        logger.warning(f"Warning: {problem}")
    logger.info(told_findings(f"results/{STUDY.name}"), extra={"told": True})


onerror:
    if workflow.is_main_process:  # it may be why the run failed
        for problem in told_problems(f"results/{STUDY.name}/calibration.tsv"):
            logger.warning(f"Warning: {problem}")


if workflow.remote_exec:
    run_rules_here(workflow)
