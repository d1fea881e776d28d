"""A study complete with its defaults, and with what each network's weights depend on.

A recipe says no more than that: a network is made again when its own recipe changes, and for no
other reason. All values are plain, so that rules can hand them to jobs.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy

from workflow.lib.study import model, networks
from workflow.lib.study.completed import (
    RULES,
    Downstream,
    Features,
    Greedy,
    Model,
    Network,
    PublishedStudy,
    Study,
)
from workflow.lib.study.datasets import TestSet
from workflow.lib.study.pretraining import CONTRASTIVE

PLAIN_IMAGE = {"size": 224, "crop": 1.0, "interpolation": "bicubic", "mean": [0.0] * 3}
"""How images are shown in a study that has nothing but logits."""


def complete_published(file: model.PublishedFile) -> PublishedStudy:
    """Complete a published study without mistakes."""
    return PublishedStudy(file.study, file.title, file.published.model_dump(), file.band)


def complete(file: model.StudyFile, alongside: PublishedStudy | None = None) -> Study:
    """Complete a study without mistakes."""
    recipes: dict[str, dict] = {}
    for own in file.networks:
        source = getattr(own, "source", None)
        recipe = own.recipe(recipes[source] if source else {})
        recipes[own.path[1]] = _shifted(recipe, file.seed)
    images = {key: recipe["input"] for key, recipe in recipes.items() if "input" in recipe}
    # Where there are only logits, images are shown as the base or another network sees them.
    default = file.recipe.input.model_dump(exclude_none=True) if file.recipe else PLAIN_IMAGE
    lent = images.get(file.base) or next(iter(images.values()), default)
    public = [own.entry for own in file.networks if isinstance(own, networks.Public)]
    named = {"models": file.probed, "base": file.base, "bases": file.probed_with,
             "seed": file.seed}  # fmt: skip
    chosen = {"bases": file.starts, "pool": file.pool}
    taking_part = {*chosen["bases"], *chosen["pool"]}
    chosen["members"] = [key for key in file.models if key in taking_part]
    as_written = ("title", "band", "protocol", "accuracy_tolerance", "pairs", "ensembles",
                  "groups", "updates", "attributes")  # fmt: skip
    return Study(
        name=file.study,
        **{key: getattr(file, key) for key in as_written},
        dataset=file.dataset.model_copy(update={"seed": file.dataset.seed + file.seed}),
        bases=file.compared,
        ensemble="confident" if file.answers_alone else file.ensemble,
        extraction=file.extraction.model_dump(),
        models={key: _shown(own, file, recipes[key]) for key, own in file.models.items()},
        networks={
            key: Network(recipes[key], own.parents, geometry(images.get(key, lent)))
            for key, own in (file.pretraining | file.models).items()
        },
        geometries={geometry(image): _shape(image) for image in [*images.values()] or [lent]},
        greedy=Greedy.model_construct(**file.greedy.model_dump() | chosen),
        features=Features.model_construct(**file.features.model_dump() | named),
        downstream=_downstream(file),
        test_sets={key: _test_set(own, file.seed) for key, own in file.test_sets.items()},
        preprocessing={entry: deepcopy(networks.FOUND[entry]) for entry in public},
        alongside=alongside,
    )


def _shifted(recipe: dict, seed: int) -> dict:
    """Add the study's seed to that of a recipe, if it has one."""
    return recipe | ({"seed": recipe["seed"] + seed} if "seed" in recipe else {})


def _shape(image: Mapping) -> dict:
    """Say how the images of a geometry are made."""
    keys = ("size", "crop", "crop_mode", "fill", "interpolation")
    values = {key: deepcopy(image[key]) for key in keys if key in image}
    return values | {"crop": float(image["crop"]), "channels": len(image["mean"])}


def geometry(image: Mapping) -> str:
    """Name the geometry of an input: its size, crop in per cent, interpolation and channels.

    Parameters
    ----------
    image : mapping
        `input` of a recipe.

    Returns
    -------
    str
        A slug, such as `28-100-bilinear-1`, or `224-87p5-bicubic-3` for a crop of 0.875.
    """
    size = image["size"] if isinstance(image["size"], int) else "x".join(map(str, image["size"]))
    crop = f"{100 * image['crop']:g}".replace(".", "p")
    mode = [image["crop_mode"], *image.get("fill", [])] if "crop_mode" in image else []
    parts = [size, crop, image["interpolation"], len(image["mean"]), *mode]
    return "-".join(map(str, parts))


def _shown(own: networks.Model, file: model.StudyFile, recipe: Mapping) -> Model:
    """Gather what figures and tables show of a model."""
    source = file.pretraining.get(getattr(own, "source", ""))
    by_default = "contrastive" if source and source.kind == "open_clip" else "supervised"
    external = RULES.get(own.kind) in ("external", "answers")
    if external:  # nothing is known of it but what its entry says
        by_default = ""
    objective = getattr(source or own, "objective", None) or by_default
    if own.learns and not source:
        objective = own.learns
    frozen, elsewhere = own.kind in networks.FROZEN, isinstance(own, networks.Elsewhere)
    data = getattr(source, "data", []) if frozen else recipe.get("data", [])
    name = own.name or own.path[1]
    if own.stand_in:
        name += f" (stand-in for {own.paper})" if own.paper else " (stand-in)"
    return Model(
        name=name,
        category=own.category,
        set=own.set,
        objective="contrastive" if objective in CONTRASTIVE else objective,
        train_data=" + ".join(data) if own.train_data is None else own.train_data,
        head=own.head or ("" if external else "trained" if elsewhere else own.kind),
        stand_in=own.stand_in,
        paper=own.paper,
        weights_of=own.weights_of,
    )


def _test_set(own: TestSet, seed: int) -> dict:
    """Keep what a test set is made of."""
    values = own.model_dump(exclude_none=True)
    if own.corruption is None:
        keys = [key for key in ("labels", "answers") if key in values]
        return {key: values[key] for key in keys or ("kind", "path", "skip_corrupt")}
    values = {key: values.get(key) for key in ("corruption", "severity", "images", "seed")}
    return values | {"seed": own.seed + seed}


def _downstream(file: model.StudyFile) -> Downstream | None:
    task, keys = file.downstream, file.evaluated
    if task is None:
        return None
    made_here = f"results/{file.study}/downstream/scenes.npy"
    return Downstream(
        kind=task.kind,
        path=getattr(task, "path", made_here),
        split=getattr(task, "split", None),
        seed=getattr(task, "seed", 0) + file.seed,
        models=keys,
        partners=partners(keys),
        regularisation=task.regularisation,
    )


def partners(keys: Sequence[str]) -> dict[str, list[str]]:
    """Give each model itself and half of the others, so that all pairs are shared out evenly."""
    count = len(keys)
    found = {}
    for place, key in enumerate(keys):
        # With an even number, models that face each other across the circle are one pair.
        last = count // 2 - (count % 2 == 0 and place >= count // 2)
        found[key] = [key] + [keys[(place + step) % count] for step in range(1, last + 1)]
    return found
