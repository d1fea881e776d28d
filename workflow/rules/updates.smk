"""From answers to updates: what changes where a new model takes the place of an old one."""


rule update_answers:
    """Find what both models of each update answer together, from logits where the two differ."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        calibration="<results>/calibration.tsv",
        answers="<results>/answers.npz",
        weights="<results>/combining/weights.tsv",
        cascades="<results>/cascades.tsv",
        outputs=expand("<results>/outputs/{model}/test.h5", model=STUDY.updated),
    output:
        classes="<results>/update_answers.npz",
    log:
        "<results>/logs/update_answers.log",
    benchmark:
        "<results>/benchmarks/update_answers.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"models": STUDY.updated, "updates": STUDY.updates, "split": "test"},
        code=fingerprint("update_answers"),
    script:
        "../scripts/update_answers.py"


rule updates:
    """Count flips of right and wrong by all that can take the old model's place, and by class."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        answers="<results>/answers.npz",
        together="<results>/update_answers.npz" if STUDY.has_logits else [],
        attributes="<results>/attributes.tsv" if STUDY.attributes else [],
    output:
        table="<results>/updates.tsv",
        parts="<results>/update_classes.tsv",
    log:
        "<results>/logs/updates.log",
    benchmark:
        "<results>/benchmarks/updates.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={
            "updates": STUDY.updates,
            "names": {key: STUDY.models[key].name for key in STUDY.updated},
            "groups": STUDY.groups,
            "split": "test",
        },
        code=fingerprint("updates"),
    script:
        "../scripts/updates.py"


rule flips:
    """Flips of each update by class, and how many both models together leave."""
    input:
        table="<results>/updates.tsv",
        parts="<results>/update_classes.tsv",
    output:
        multiext("<results>/figures/flips", pdf=".pdf", svg=".svg", png=".png", tsv=".tsv"),
    log:
        "<results>/logs/flips.log",
    benchmark:
        "<results>/benchmarks/flips.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/flips"),
    script:
        "../scripts/figures/flips.py"


rule flip_sheet:
    """The test images that an update loses and wins, as the new model is given them."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        answers="<results>/answers.npz",
        images=lambda w: f"<results>/images/{STUDY.networks[w.new].geometry}/test.npy",
    output:
        multiext("<results>/flip_sheets/{old}--{new}", png=".png", tsv=".tsv"),
    log:
        "<results>/logs/flip_sheet/{old}--{new}.log",
    benchmark:
        "<results>/benchmarks/flip_sheet/{old}--{new}.tsv"
    wildcard_constraints:
        old="[a-z0-9]+(-[a-z0-9]+)*",
        new="[a-z0-9]+(-[a-z0-9]+)*",
    conda:
        "../../envs/workflow.yaml"
    params:
        settings=lambda w: {
            "update": [w.old, w.new],
            "names": [STUDY.models[key].name for key in (w.old, w.new)],
            "number": 20,
            "split": "test",
        },
        code=fingerprint("figures/flip_sheet"),
    script:
        "../scripts/figures/flip_sheet.py"
