"""A study as an object, and the published studies alongside it."""

from types import SimpleNamespace

from snakemake.exceptions import WorkflowError

from workflow.lib.data.splits import HELD
from workflow.lib.study import configuration
from workflow.lib.study.configuration import ConfigurationError

__all__ = ["ConfigurationError", "load"]

MAKERS = {"lbfgs": "head", "zero-shot": "head", "class-mapping": "head", "checkpoint": "head",
          "logits": "external"}  # fmt: skip


class Study(SimpleNamespace):
    def made_by(self, *rules, parents=False):
        used = {key for network in self.networks.values() for key in network.parents}
        keys = [
            key
            for key, network in self.networks.items()
            if network.maker in rules and (key in used or not parents)
        ]
        return "|".join(keys) or "-"

    def described(self, *fields, models=None):
        keys = self.models if models is None else models
        return {
            key: {f: v for f, v in vars(self.models[key]).items() if not fields or f in fields}
            for key in keys
        }

    def splits_of(self, model):
        probed = [*self.features.models, self.features.base] if self.features.models else []
        return [*HELD, self.features.data] if model in probed else list(HELD)

    @property
    def template_splits(self):
        external = [key for key, network in self.networks.items() if network.maker == "external"]
        return max([list(HELD), *map(self.splits_of, external)], key=len)


def load(config, files):
    """Load."""
    try:
        studies = configuration.load(config, files)
    except ConfigurationError as error:
        raise WorkflowError(str(error)) from None
    (name, study), *rest = studies.items()
    own = wrap(name, study)
    own.alongside = wrap(*rest[0]) if rest else None
    own.compared_with = [f"results/{rest[0][0]}"] if own.paper_rows and rest else []
    if own.alongside:
        own.alongside.settings = configuration.read(study["alongside"][0])
    return own


def wrap(name, study):
    """Wrap."""
    settings = study
    own = Study(**{key: value for key, value in study.items() if key != "study"})
    own.name, own.settings, own.title = name, settings, study.get("title", "")
    own.compared_with, own.alongside, own.external_files = [], None, []
    own.models = {k: SimpleNamespace(**m) for k, m in study.get("models", {}).items()}
    own.paper_rows = {k: m.paper for k, m in own.models.items() if m.paper}
    tables = {
        "calibration": "pareto",
        "class_specialisation": "figure4",
        "recommendations": "pareto",
    }
    own.reported_tables = [t for t, figure in tables.items() if figure in own.figures]
    if study["published"]:
        own.networks = {}
        own.stages = ["published"]
        return own
    own.stages = ["data", "models", "outputs", "measures", "ensembles", "probes", "sensitivity",
                  "figures", "report"]  # fmt: skip
    if study["downstream"]:
        own.stages.insert(6, "downstream")
    dataset = {"skip_corrupt": False} | study["dataset"]
    own.dataset = SimpleNamespace(**dataset, settings=study["dataset"])
    own.evaluation_splits = list(HELD)
    for section in ("greedy", "features", "downstream"):
        value = study[section]
        setattr(own, section, SimpleNamespace(**value, settings=value) if value else None)
    f = study["features"]
    own.features.settings = {
        key: f[key] for key in ("base", "data", "shares", "seeds", "dimensions", "regularisation")
    }
    if own.downstream and own.downstream.kind == "scenes":
        own.downstream.path = f"results/{name}/downstream/scenes.npy"
    own.networks = {}
    for key, network in study["networks"].items():
        recipe = network["recipe"]
        files = recipe.get("augmentation") == "random-resized-crop"
        maker = MAKERS.get(recipe["head"])
        if maker is None:
            maker = "pretrained" if "timm" in recipe or "open_clip" in recipe else "train"
        own.networks[key] = SimpleNamespace(
            recipe=recipe,
            parents=[network["parent"]] if network["parent"] else [],
            geometry=network["geometry"],
            maker=maker,
            reads_files=files,
            arrays=[] if files else recipe.get("data", []),
        )
    own.external_files = [
        network.recipe["logits"] for network in own.networks.values() if network.maker == "external"
    ]
    own.paired = list(dict.fromkeys(key for pair in own.pairs for key in pair))
    own.main = [k for k, m in own.models.items() if m.set == "main"]
    return own
