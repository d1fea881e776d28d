"""The pins are written once: the conda environment says the same as requirements.txt."""

import yaml

from workflow.lib.run.fingerprint import ROOT, _pins


def test_the_conda_environment_pins_what_the_requirements_pin():
    conda = yaml.safe_load((ROOT / "envs/workflow.yaml").read_text())["dependencies"][-1]["pip"]
    assert conda == [f"{name}=={version}" for name, version in _pins(ROOT).items()]
