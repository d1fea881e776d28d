"""Mistakes that lie between keys: names of nothing, keys without effect, values that do not match.

Each check is of a study built of what is right in its file, so that any part may be None.
"""

from collections.abc import Iterator

from workflow.lib.data import labels
from workflow.lib.data.splits import HELD
from workflow.lib.outputs import answers
from workflow.lib.study import networks
from workflow.lib.study.datasets import Dataset, TestSet
from workflow.lib.study.fields import A_SLUG, is_slug, shown
from workflow.lib.study.model import PublishedFile, Scenes, StudyFile, Voc
from workflow.lib.study.network_checks import network_mistakes, unlearnable
from workflow.lib.study.parse import MISSING, Mistake, nearest
from workflow.lib.study.recipe import Learnt

LISTS = (("greedy", "bases"), ("greedy", "pool"), ("features", "models"), ("features", "bases"),
         ("downstream", "models"))  # fmt: skip
"""Where analyses name models."""

NEED_LOGITS = ("ensemble", "ensembles", "protocol", "greedy", "features", "downstream", "recipe",
               "pretraining", "extraction", "accuracy_tolerance")  # fmt: skip
"""Keys that say nothing to answers alone."""

FILES = "give an .npz or .h5 file with `features`, or leave the model out of features.models"


def find_mistakes(study: StudyFile | PublishedFile) -> Iterator[Mistake]:
    """Find the mistakes between the keys of a study."""
    if study.band and study.band[0] >= study.band[1]:
        text = f"must go from the lower to the higher accuracy, not {shown(study.band)}"
        yield ("band",), text
    if not isinstance(study, StudyFile):
        return
    if study.dataset:
        yield from _dataset_mistakes(study.dataset)
    yield from _group_mistakes(study.groups)
    yield from _key_mistakes(study)
    yield from _model_mistakes(study)
    yield from _seed_mistakes(study)
    yield from _pair_mistakes(study)
    yield from _update_mistakes(study)
    yield from _ensemble_mistakes(study)
    yield from _analysis_mistakes(study)
    yield from _recipe_mistakes(study)
    yield from _control_mistakes(study)
    yield from _test_set_mistakes(study)
    yield from _answers_mistakes(study)
    if study.dataset and study.dataset.kind == "labels":
        yield from _imageless_mistakes(study)
    for network in study.networks:
        if network.kind and (study.recipe or not isinstance(network, Learnt)):
            yield from network_mistakes(network, study)


def _dataset_mistakes(dataset: Dataset) -> Iterator[Mistake]:
    place, splits = ("dataset", "splits"), dataset.splits
    if splits is None:
        return
    for name in splits:
        if not is_slug(name):
            yield (*place, name), f"{shown(name)} is not {A_SLUG}"
    for name in dataset.needs:
        if name not in splits:
            yield (*place, name), MISSING
    if dataset.kind == "fashion-mnist" and "test" in splits:
        yield (*place, "test"), "the name is that of the dataset's own test images"
    scored = [name for name in splits if "test" in splits and name in HELD]
    for pool in (scored, [name for name in splits if name not in scored]):
        if [splits[name] for name in pool].count("rest") > 1:
            among = f" among {' and '.join(scored)}" if pool is scored else ""
            yield place, f'only one split{among} can be "rest"'


def _imageless_mistakes(study: StudyFile) -> Iterator[Mistake]:
    """Find what needs images in a study that has labels alone."""
    dataset = study.dataset
    for network in study.networks:
        if network.kind not in ("", *networks.WEIGHTLESS):
            text = f"the dataset is of the kind labels, without images for {network.title}"
            yield network.path, f"{text}; bring its logits or answers"
    if study.downstream:
        yield ("downstream",), "needs networks to run on images; leave it out with the kind labels"
    if study.attributes == "pixels":
        text = "the dataset is of the kind labels, without pixels; give a table of attributes"
        yield ("attributes",), text
    splits, place = dataset.splits or {}, ("dataset", "splits")
    if splits and {*splits} != {*HELD}:
        text = f"must name {' and '.join(HELD)} and no other, with the kind labels"
        yield place, f"{text}, not {', '.join(splits)}"
    if splits or not any(own.kind == "logits" for own in study.models.values()):
        return
    named = labels.named_splits(dataset.path or "")
    if named and "calibration" not in named:
        text = "temperatures are fitted on images of their own: draw some, such as"
        yield place, f"{text} {{calibration: 1000, test: rest}}, or give the file a column `split`"


SETS = {"kind": ("path", "skip_corrupt"), "labels": (), "answers": (),
        "corruption": ("severity", "images", "seed")}  # fmt: skip
"""What says of which sort a test set is, and the further keys of each sort."""


def _test_set_mistakes(study: StudyFile) -> Iterator[Mistake]:
    """Find test sets of no sort or of two, keys without effect, and sets that no model can take."""
    needed = {"kind": "path", "corruption": "severity"}
    for name, own in (study.test_sets or {}).items():
        place = ("test_sets", name)
        if not is_slug(name):
            yield place, f"{shown(name)} is not {A_SLUG}"
        if name in (*HELD, "clean"):
            yield place, "the name is that of the study's own images; choose another"
        sorts = [key for key in SETS if key in own.model_fields_set]
        if len(sorts) != 1 and type(own) is not TestSet:
            continue  # something of it is told already
        if len(sorts) != 1:
            found = f"not {' and '.join(sorts)}" if sorts else MISSING
            yield place, f"must have one of {', '.join(SETS)}: what this test set is; {found}"
            continue
        (sort,) = sorts
        for key in own.model_fields_set - {sort, *SETS[sort]}:
            if key not in SETS:
                yield (*place, key), f"has no effect beside {sort}"
        if sort in needed and getattr(own, needed[sort]) is None:
            yield (*place, needed[sort]), f"{MISSING}; {sort} needs it"
        if sort == "answers" and not study.answers_alone:
            text = "is for studies of answers alone, and here are models of which more is known"
            yield (*place, "answers"), f"{text}; name the images by `kind` and `path`"
        if sort in ("labels", "answers"):
            continue
        if study.dataset and study.dataset.kind == "labels" and sort == "corruption":
            yield (*place, sort), "the dataset is of the kind labels, without images to corrupt"
        elif study.models and all(m.kind in networks.WEIGHTLESS for m in study.models.values()):
            text = "needs networks to run on its images, and no model has weights"
            yield place, f"{text}; give other `labels` of the test images, or `answers` of others"


def _control_mistakes(study: StudyFile) -> Iterator[Mistake]:
    """Find controls of nothing, and other models that name what only controls have."""
    models = study.models
    for key, own in models.items():
        place, named = ("models", key, "weights_of"), own.weights_of
        if own.category == "control" and named is None and own.whole:
            yield place, f"{MISSING}; a control has the weights of another model: name it"
        elif named is not None and own.category not in (None, "control"):
            yield place, f"has no effect with the category {own.category}; a control has weights_of"
        elif named is not None and named not in models:
            yield place, f'there is no model "{named}"{nearest(named, models)}'
        elif named is not None and (named == key or models[named].category == "control"):
            yield place, f'"{named}" is a control itself; name the model whose weights both have'


def _answers_mistakes(study: StudyFile) -> Iterator[Mistake]:
    """Find answers beside logits, keys without effect on answers, and columns of no file."""
    own = {key: model for key, model in study.models.items() if model.kind == "answers"}
    others = [key for key, model in study.models.items() if model.kind not in ("", "answers")]
    if own and others:
        first = next(iter(own))
        text = f"{others[0]} has more than answers; a study has answers of all its models, or none"
        yield ("models", first, "answers"), f"{text}: divide it in two, or bring answers of all"
    elif own:
        for key in NEED_LOGITS:
            if key in study.model_fields_set:
                yield (key,), "needs logits or networks, and all models have answers alone"
    for key, model in own.items():
        columns = answers.columns_of(model.answers) if model.answers else None
        place = ("models", key, "column")
        if columns and model.column is None:
            text = f"{MISSING}; {model.answers} is of {len(columns)} models: name the one"
            yield place, f"{text}{nearest(key, columns)}"
        elif columns and model.column not in columns:
            text = f'{model.answers} has no model "{model.column}"'
            yield place, f"{text}{nearest(model.column, columns)}"


def _group_mistakes(groups: dict) -> Iterator[Mistake]:
    for name, group in groups.items():
        match group:
            case [int(first), int(last)] if first > last:
                text = f"must go from the first to the last class, not {shown(group)}"
                yield ("groups", name), text


def _key_mistakes(study: StudyFile) -> Iterator[Mistake]:
    for section in ("pretraining", "models"):
        for key in getattr(study, section):
            if not is_slug(key):
                yield (section, key), f"{shown(key)} is not {A_SLUG}"
    for key in study.pretraining:
        if key in study.models:
            yield ("pretraining", key), "a model has the same key; each network needs its own"


def _model_mistakes(study: StudyFile) -> Iterator[Mistake]:
    models = study.models
    bases = [key for key, own in models.items() if own.category == "base"]
    if len(bases) > 1 or (not bases and all(own.category for own in models.values())):
        found = " and ".join(bases) or "none"
        yield ("models",), f"exactly one model must be of the category base, not {found}"
    for key in bases:
        if models[key].set != "main":
            yield ("models", key, "set"), "the base must be in the set main"
    teachers = {key: getattr(own, "teacher", None) for key, own in models.items()}
    for key in models:
        chain = _lessons(key, teachers)
        if chain and key == min(chain):
            text = f"a model cannot teach itself: {' learns from '.join([*chain, key])}"
            yield ("models", key, "teacher"), text


def _seed_mistakes(study: StudyFile) -> Iterator[Mistake]:
    """Find trainings that would begin with the same weights and see images in the same order."""
    first: dict[int, str] = {}
    known = [*study.models.values(), *study.pretraining.values()]
    for network in known if not study.shared_seeds else []:
        seed = getattr(network, "seed", None) if isinstance(network, Learnt) else None
        if seed is None:
            continue
        other = first.setdefault(seed, network.path[1])
        if other != network.path[1]:
            yield (
                (*network.path, "seed"),
                f'{seed} is also the seed of "{other}"; give each network that is trained '
                f"a seed of its own, or set shared_seeds: true if it is meant",
            )


def _lessons(key: str, teachers: dict[str, str | None]) -> list[str]:
    """Walk from a model to its teacher's teacher and so on; none if this never leads back."""
    chain = [key]
    while (teacher := teachers.get(chain[-1])) and teacher not in chain:
        chain.append(teacher)
    return chain if teacher == key else []


def _pair_mistakes(study: StudyFile) -> Iterator[Mistake]:
    for place, (first, second) in enumerate(study.pairs):
        for key in (first, second):
            yield from _unknown_model(key, ("pairs", place), study)
        if first == second:
            yield ("pairs", place), f'pairs the model "{first}" with itself'
        if any({first, second} == {*earlier} for earlier in study.pairs[:place]):
            yield ("pairs", place), f"gives the pair of {first} and {second} twice"


def _update_mistakes(study: StudyFile) -> Iterator[Mistake]:
    for place, (old, new) in enumerate(study.updates):
        for key in (old, new):
            yield from _unknown_model(key, ("updates", place), study)
        if old == new:
            text = f'updates the model "{old}" to itself; name the old model, then the new one'
            yield ("updates", place), text
        if [old, new] in study.updates[:place]:
            yield ("updates", place), f"gives the update of {old} to {new} twice"


def _ensemble_mistakes(study: StudyFile) -> Iterator[Mistake]:
    for name, members in (study.ensembles or {}).items():
        if not is_slug(name):
            yield ("ensembles", name), f"{shown(name)} is not {A_SLUG}"
        for place, key in enumerate(members or []):
            yield from _unknown_model(key, ("ensembles", name, place), study)
            if key in study.models and study.models[key].kind == "answers":
                text = f"{key} has only answers, which no combination here takes; give its logits"
                yield ("ensembles", name, place), text
        if name in ("single", "pair", "triple", "cascade"):
            yield ("ensembles", name), "the name is that of a recommended one; choose another"
        if members and len(members) < 2:
            yield ("ensembles", name), "an ensemble has at least two models"


def _unknown_model(key: str, place: tuple, study: StudyFile) -> Iterator[Mistake]:
    if study.models and key not in study.models:
        yield place, f'there is no model "{key}"{nearest(key, study.models)}'


def _analysis_mistakes(study: StudyFile) -> Iterator[Mistake]:
    """Find models and splits that an analysis names and the study does not have."""
    for place, key in enumerate(study.bases or []):
        yield from _unknown_model(key, ("bases", place), study)
    for section, name in LISTS:
        for place, key in enumerate(getattr(getattr(study, section), name, None) or []):
            yield from _unknown_model(key, (section, name, place), study)
    yield from _greedy_mistakes(study)
    text = unlearnable(study.features.data, study.dataset)
    if text and "data" not in study.features.model_fields_set:
        why = "from which the probes of figure 6 learn; draw one, or name another here"
        text = f"{text}, {why}" if study.probed else None
    if text:
        yield ("features", "data"), text
    yield from _featureless_mistakes(study)
    if study.downstream:
        yield from _downstream_mistakes(study.downstream, study)


def _greedy_mistakes(study: StudyFile) -> Iterator[Mistake]:
    greedy, bases, pool = study.greedy, study.starts, study.pool
    if bases and not pool and greedy.pool is None:
        yield ("greedy", "pool"), "the pool is empty: every model is of the set high; name some"
    if not bases and greedy.bases is None and greedy.pool is not None:
        yield ("greedy", "bases"), "no model is of the set high; name some to begin with"
    for key in bases:
        if pool == [key]:
            yield ("greedy", "pool"), f'the pool holds only the base "{key}" itself'


def _featureless_mistakes(study: StudyFile) -> Iterator[Mistake]:
    """Find models whose features are asked for and are not in their file."""
    models = study.models
    for name in ("models", "bases"):
        for place, key in enumerate(getattr(study.features, name) or []):
            if key in models and models[key].kind == "logits" and not models[key].has_features:
                text = f"{models[key].logits} holds no features; {FILES}"
                yield ("features", name, place), text
    if len(study.probed_with) > study.features.seeds:
        text = f"{len(study.probed_with)} bases, and {study.features.seeds} draws: each needs one"
        yield ("features", "seeds"), text
    if len(study.probed_with) == 1:
        for key in {*study.probed} & {*study.probed_with}:
            yield ("features", "bases"), f"{key} is combined with itself alone; name another base"
    base = models.get(study.base)
    if base and base.kind == "logits" and study.probed and not base.has_features:
        text = f"{base.logits} holds no features, with which others' are combined; {FILES}"
        yield ("models", study.base, "logits"), text


def _downstream_mistakes(downstream: Voc | Scenes, study: StudyFile) -> Iterator[Mistake]:
    models = study.models
    for place, key in enumerate(downstream.models or []):
        if key in models and models[key].kind in networks.WEIGHTLESS:
            text = f"{key} has only {models[key].kind}: there are no weights to run on other images"
            yield ("downstream", "models", place), text
    if models and downstream.models is None and not study.evaluated:
        text = "name models with weights: the base and those of features have only logits"
        yield ("downstream", "models"), text
    if isinstance(downstream, Voc) or downstream.split is None:
        return
    where, split = ("downstream", "split"), downstream.split
    if refused := unlearnable(split, study.dataset, kept=["test"]):
        yield where, refused
    for network in study.networks:
        if split in (getattr(network, "data", None) or []):
            yield where, f'the split {split} is learnt from by "{network.path[1]}"'
            break


def _recipe_mistakes(study: StudyFile) -> Iterator[Mistake]:
    if study.recipe:
        for key, text in study.recipe.void().items():
            if getattr(study.recipe, key) is not None:
                yield ("recipe", key), text
        return
    for network in study.networks:
        if isinstance(network, Learnt):
            text = f"{MISSING}; {'.'.join(network.path)} is trained here, and needs it"
            yield ("recipe",), text
            break
