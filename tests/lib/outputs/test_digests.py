"""Files by digest."""

import hashlib

import pytest

from workflow.lib.outputs.digests import digest, remember, verify
from workflow.lib.run.errors import InputError

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, of "abc"


@pytest.fixture
def weights(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"abc")
    return tmp_path / "w.bin"


def test_the_digest_is_sha256(weights):
    assert digest(weights) == ABC == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize("expected", [None, ABC, ABC.upper()])
def test_the_file_that_is_meant_passes(weights, expected):
    assert verify(weights, expected, "models.vit") == ABC


def test_a_changed_file_is_told_with_both_digests(weights):
    weights.write_bytes(b"abd")
    with pytest.raises(InputError, match=rf"models.vit: .*w.bin has the SHA-256 {digest(weights)}, "
                                         rf"not {ABC} as models.vit.sha256 asks"):  # fmt: skip
        verify(weights, ABC, "models.vit")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none.bin: No such file"):
        verify(tmp_path / "none.bin", None, "models.vit")


def test_weights_that_a_hub_changed_are_noticed(tmp_path):
    record = tmp_path / "vit" / "source.sha256"
    remember(ABC, record, "timm:vit.in1k", "models.vit")
    assert record.read_text() == f"{ABC}  timm:vit.in1k\n"
    remember(ABC, record, "timm:vit.in1k", "models.vit")
    other = ABC[::-1]
    with pytest.raises(InputError, match=rf"models.vit: timm:vit.in1k has changed: .*{other}, and "
                                         rf"had {ABC} .*delete .*source.sha256"):  # fmt: skip
        remember(other, record, "timm:vit.in1k", "models.vit")
    assert record.read_text() == f"{ABC}  timm:vit.in1k\n"


def test_other_weights_under_another_name_are_no_change(tmp_path):
    record = tmp_path / "source.sha256"
    remember(ABC, record, "timm:vit.in1k", "models.vit")
    remember(ABC[::-1], record, "timm:vit.in21k", "models.vit")
    assert record.read_text() == f"{ABC[::-1]}  timm:vit.in21k\n"
