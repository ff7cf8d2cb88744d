import json

import pytest
import torch
from safetensors.torch import save_file

from mmsa_core import missing
from mmsa_core.errors import UserError
from mmsa_core.masks import manifest
from mmsa_core.masks.manifest import Manifest

IDS = ("a", "b", "a")
MASKS = {"text": torch.tensor([[True, False], [False, False], [True, True]]), "audio": torch.eye(3) > 0}


def test_round_trip(tmp_path):
    path = tmp_path / "masks.safetensors"
    written = Manifest(IDS, torch.tensor([5, -7, 9]), MASKS, {"protocol": "block", "seed": 3})
    manifest.write(path, written)
    found = manifest.read(path)
    assert (found.ids, found.about) == (IDS, written.about)
    assert torch.equal(found.key, written.key)
    assert all(torch.equal(found.observed[m], kept) for m, kept in MASKS.items())


def test_ids_give_the_keys_where_the_file_has_none(tmp_path):
    path = tmp_path / "masks.safetensors"
    about = {"format": manifest.FORMAT, "ids": list(IDS)}
    save_file({f"observed.{m}": kept for m, kept in MASKS.items()}, path, metadata={"mmsa": json.dumps(about)})
    assert torch.equal(manifest.read(path).key, missing.keys(IDS))


@pytest.mark.parametrize(
    ("tensors", "about", "message"),
    [
        ({}, {}, r"holds no masks; expected a tensor 'observed.MODALITY'"),
        ({"observed.text": MASKS["text"]}, {"format": "mmsa-run-1"}, "expected format mmsa-masks-1"),
        ({"observed.text": MASKS["text"]}, {"ids": "a"}, "expected a list of sample ids"),
        ({"observed.text": MASKS["text"]}, {"ids": []}, "expected a list of sample ids"),
        (
            {"observed.text": MASKS["text"].float()},
            {},
            r"'observed.text' is torch.float32 \[3, 2\]; expected bool \[3, f",
        ),
        ({"observed.text": MASKS["text"][:2]}, {}, r"\[2, 2\]; expected bool \[3, frames\], a row for each"),
        ({"observed.text": MASKS["text"], "key": torch.tensor([1, 2])}, {}, r"'key' is torch.int64 \[2\]; expected 3"),
        ({"observed.text": MASKS["text"], "key": torch.tensor([1.0, 2, 3])}, {}, r"'key' is torch.float32 \[3\]; exp"),
        ({"observed.text": MASKS["text"], "key": torch.tensor([1, 2, 1])}, {}, "expected 3 different int64 numbers"),
    ],
)
def test_files_that_are_no_manifests(tmp_path, tensors, about, message):
    path = tmp_path / "masks.safetensors"
    described = {"format": manifest.FORMAT, "ids": list(IDS)} | about
    save_file(tensors, path, metadata={"mmsa": json.dumps(described)})
    with pytest.raises(UserError, match=message):
        manifest.read(path)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"absent.safetensors: not a readable manifest of masks"):
        manifest.read(tmp_path / "absent.safetensors")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(UserError, match="not a readable manifest of masks"):
        manifest.read(tmp_path / "text")
