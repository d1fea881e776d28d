"""Every key of a study is described; the JSON schema is made of that, and knows the studies."""

import json

import jsonschema
import pytest
import yaml

from tests.lib.study.examples import ROOT
from workflow.lib.study import model, networks
from workflow.lib.study.fields import Strict, keys
from workflow.lib.study.pretraining import PRETRAINING

STUDIES = ["config.yaml", *(str(path.relative_to(ROOT)) for path in ROOT.glob("studies/*.yaml"))]


def classes(cls=Strict):
    for other in cls.__subclasses__():
        yield other
        yield from classes(other)


@pytest.mark.parametrize("cls", sorted(set(classes()), key=str), ids=lambda cls: cls.__name__)
def test_every_key_is_described_and_no_other_is_let_in(cls):
    assert cls.model_config["extra"] == "forbid"
    assert cls.model_config["strict"]
    assert [key for key, field in keys(cls).items() if not field.description] == []


def test_every_kind_of_network_is_known_by_its_name():
    for kinds in (networks.MODELS, PRETRAINING):
        for kind, cls in kinds.items():
            assert cls.kind == kind
            assert kind in cls.title
    heads = set(networks.Head.__args__)
    assert heads <= networks.MODELS.keys()
    assert {cls.learns for cls in networks.MODELS.values()} == {"supervised", "distillation", None}


def test_the_schema_in_the_repository_is_that_of_the_code():
    text = model.SCHEMA.read_text(encoding="utf-8")
    assert json.loads(text) == model.schema(), "run `make schema`"


@pytest.mark.parametrize("file", [*STUDIES, "tests/run/small.yaml"])
def test_the_schema_knows_the_studies(file):
    study = yaml.safe_load((ROOT / file).read_text())
    if "models" in study and "dataset" not in study:
        pytest.skip("only changes another study")
    schema = model.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(study)
    assert not validator.is_valid(study | {"bnad": [0, 1]})
    if "models" in study:
        next(iter(study["models"].values()))["sead"] = 3
        assert not validator.is_valid(study)
