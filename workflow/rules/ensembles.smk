"""From calibrated logits to larger ensembles: greedy ones, and those that are worth their cost."""


rule greedy:
    """Grow ensembles from each base by the model that helps most, streaming logits, in one job."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
        calibration="results/{study}/calibration.tsv",
        selection=lambda w: expand(
            "results/{study}/outputs/{model}/calibration.h5",
            study=w.study,
            model=STUDIES[w.study]["greedy"]["members"],
        ),
        scored=lambda w: expand(
            "results/{study}/outputs/{model}/test.h5",
            study=w.study,
            model=STUDIES[w.study]["greedy"]["members"],
        ),
    output:
        table="results/{study}/greedy.tsv",
        first="results/{study}/greedy_first.tsv",
    log:
        "results/{study}/logs/greedy.log",
    benchmark:
        "results/{study}/benchmarks/greedy.tsv"
    wildcard_constraints:
        study="|".join(MEASURED) or "-",
    conda:
        "../../envs/workflow.yaml"
    threads: 4
    params:
        members=lambda w: {
            key: {
                field: STUDIES[w.study]["models"][key][field]
                for field in ("name", "category", "objective", "train_data")
            }
            for key in STUDIES[w.study]["greedy"]["members"]
        },
        bases=lambda w: STUDIES[w.study]["greedy"]["bases"],
        pool=lambda w: STUDIES[w.study]["greedy"]["pool"],
        size=lambda w: STUDIES[w.study]["greedy"]["size"],
        code=fingerprint("greedy"),
    script:
        "../scripts/greedy.py"


rule figure5:
    """Accuracy of greedy ensembles as they grow, by base."""
    input:
        greedy="results/{study}/greedy.tsv",
        first="results/{study}/greedy_first.tsv",
    output:
        pdf="results/{study}/figures/figure5.pdf",
        svg="results/{study}/figures/figure5.svg",
        png="results/{study}/figures/figure5.png",
        tsv="results/{study}/figures/figure5.tsv",
    log:
        "results/{study}/logs/figure5.log",
    benchmark:
        "results/{study}/benchmarks/figure5.tsv"
    wildcard_constraints:
        study="|".join(MEASURED) or "-",
    conda:
        "../../envs/workflow.yaml"
    params:
        mean=lambda w: STUDIES[w.study]["ensemble"],
        protocol=lambda w: STUDIES[w.study]["protocol"],
        code=fingerprint("figures/figure5"),
    script:
        "../scripts/figures/figure5.py"


rule recommendations:
    """Compare all pairs and triples, streaming logits, and list those worth their cost."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
        calibration="results/{study}/calibration.tsv",
        selection=lambda w: expand(
            "results/{study}/outputs/{model}/calibration.h5",
            study=w.study,
            model=STUDIES[w.study]["models"],
        ),
        scored=lambda w: expand(
            "results/{study}/outputs/{model}/test.h5",
            study=w.study,
            model=STUDIES[w.study]["models"],
        ),
    output:
        table="results/{study}/recommendations.tsv",
    log:
        "results/{study}/logs/recommendations.log",
    benchmark:
        "results/{study}/benchmarks/recommendations.tsv"
    wildcard_constraints:
        study="|".join(MEASURED) or "-",
    conda:
        "../../envs/workflow.yaml"
    threads: 4
    params:
        members=lambda w: {
            key: {field: model[field] for field in ("name", "category")}
            for key, model in STUDIES[w.study]["models"].items()
        },
        mean=lambda w: STUDIES[w.study]["ensemble"],
        code=fingerprint("recommendations"),
    script:
        "../scripts/recommendations.py"


rule pareto:
    """Accuracy of single models, pairs and triples against their cost."""
    input:
        table="results/{study}/recommendations.tsv",
    output:
        pdf="results/{study}/figures/pareto.pdf",
        svg="results/{study}/figures/pareto.svg",
        png="results/{study}/figures/pareto.png",
        tsv="results/{study}/figures/pareto.tsv",
    log:
        "results/{study}/logs/pareto.log",
    benchmark:
        "results/{study}/benchmarks/pareto.tsv"
    wildcard_constraints:
        study="|".join(MEASURED) or "-",
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/pareto"),
    script:
        "../scripts/figures/pareto.py"
