"""Studies as they are read from their files."""

import pytest

from tests.lib.study.examples import ANSWERS, PUBLIC, STUDY
from workflow.lib.study.load import read


@pytest.fixture
def public(tmp_path):
    path = tmp_path / "public.yaml"
    path.write_text(PUBLIC)
    return read(path)


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(STUDY)
    return read(path)


@pytest.fixture
def answers(tmp_path):
    path = tmp_path / "answers.yaml"
    path.write_text(ANSWERS)
    return read(path)
