"""Every component of core and of both plugins answers in an exported file as it does in torch."""

import pytest
import torch

pytest.importorskip("onnxruntime", reason="the extra export is not installed")

from mmsa_core import assemble
from mmsa_core.errors import UserError
from mmsa_core.export import checking, formats
from mmsa_core.export.exported import FORMAT, opened
from mmsa_core.export.student import Student
from mmsa_core.recipes.sections import ModelSection
from mmsa_core.tasks import BinaryLabels, Bins, Classification, Regression

CHANNELS, LENGTHS = {"text": 5, "audio": 3}, {"text": 6, "audio": 8}
CROSSMODAL = {"heads": 2, "layers": 1}
SCORE = Regression(kind="regression")
NETWORKS = {
    "transformer, lstm, gated": (
        {
            "text": {"name": "transformer", "layers": 1, "heads": 2},
            "audio": {"name": "recurrent", "cell": "lstm", "bidirectional": True},
        },
        {"name": "gated"},
        Bins(kind="bins", classes=7),
    ),
    "corrkd, gru, tensor": (
        {
            "text": {"name": "corrkd.encoder", "layers": 1, "heads": 2},
            "audio": {"name": "recurrent", "layers": 2, "pooling": "mean"},
        },
        {"name": "tensor", "width": 3, "hidden": 4},
        Classification(kind="classification", classes=3),
    ),
    "pooled, projection that depends on padding, low rank": (
        {"text": {"name": "pooled"}, "audio": {"name": "projection", "kernel": 3}},
        {"name": "low_rank", "width": 3},
        BinaryLabels(kind="binary_labels", names=("text", "happy")),
    ),
    "pooled, projection, concat": (
        {"text": {"name": "pooled"}, "audio": {"name": "projection", "kernel": 3, "padding": "same"}},
        {"name": "concat"},
        SCORE,
    ),
    "crossmodal as published": (
        {"text": {"name": "projection"}, "audio": {"name": "projection"}},
        {"name": "crossmodal", **CROSSMODAL},
        SCORE,
    ),
    "crossmodal of any length": (
        {"text": {"name": "projection"}, "audio": {"name": "projection"}},
        {"name": "crossmodal", **CROSSMODAL, "hide": True},
        SCORE,
    ),
    "dmd as published": (
        {"text": {"name": "dmd.encoder"}, "audio": {"name": "dmd.encoder", "kernel": 1}},
        {"name": "dmd.decoupled", **CROSSMODAL},
        SCORE,
    ),
}


def student(encoders, fusion, task, dim=4):
    section = ModelSection.model_validate({"dim": dim, "encoders": encoders, "fusion": fusion})
    model = assemble.model(section, task, CHANNELS, LENGTHS, seed=3).eval().requires_grad_(False)
    source = torch.Generator().manual_seed(1)
    for part in model.standardize.values():
        part.mean.copy_(torch.randn(len(part.mean), generator=source))
        part.scale.copy_(torch.rand(len(part.scale), generator=source) + 0.5)
    return Student(model, task).eval()


def exported(found, form, path):
    return written(found, formats.record(found, CHANNELS, found.lengths), form, path)


def written(found, program, form, path):
    about = {
        "format": FORMAT,
        "modalities": {m: {"width": CHANNELS[m]} for m in found.modalities},
        "outputs": found.outputs,
    }
    formats.write(form, program, found, about, path)
    return opened(path, form)


NEEDS = {"corrkd, gru, tensor": ["mmsa-corrkd"], "dmd as published": ["mmsa-dmd"]}
SLOW = {"crossmodal of any length", "crossmodal as published", "dmd as published"}


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(
            name, marks=[pytest.mark.needs(*NEEDS.get(name, ())), *([pytest.mark.slow] if name in SLOW else [])]
        )
        for name in NETWORKS
    ],
)
def test_both_files_answer_as_the_network(network, tmp_path):
    found = student(*NETWORKS[network])
    program = formats.record(found, CHANNELS, found.lengths)
    for form in ("onnx", "pt2"):
        file = written(found, program, form, tmp_path / "student")
        assert checking.check(file, found) == 4 + len(checking._times(found))
    assert torch.backends.mha.get_fastpath_enabled()


def test_outputs_are_those_of_predict_and_no_name_is_taken_twice(tmp_path):
    found = student(*NETWORKS["pooled, projection that depends on padding, low rank"])
    assert found.inputs == ["text", "audio", "text_observed", "audio_observed"]
    assert found.outputs == ["logits", "text_predicted", "happy"]


def test_recording_leaves_nothing_behind_in_the_process(tmp_path):
    """What is made while recording are stand-ins without numbers; kept tables would be those."""
    found = student(*NETWORKS["crossmodal as published"])
    first = next(checking.cases(found))
    before = checking.expected(found, first)
    formats.record(found, CHANNELS, found.lengths)
    assert torch.equal(checking.expected(found, first), before)


def test_the_check_notices_other_weights(tmp_path):
    encoders, _, task = NETWORKS["pooled, projection, concat"]
    found = student(encoders, {"name": "concat"}, task)
    file = exported(found, "pt2", tmp_path / "student.pt2")
    with torch.no_grad():
        found.model.fusion.head.weight[:, -1] += 0.01  # read of the last modality alone
    with pytest.raises(UserError, match=r"otherwise than the network where audio is seen .*: logits differ by 0\.0"):
        checking.check(file, found)


def test_the_check_notices_a_wrong_column(tmp_path):
    found = student(*NETWORKS["pooled, projection, concat"])
    file = exported(found, "pt2", tmp_path / "student.pt2")
    wrong = file._run
    file._run = lambda *given: [wrong(*given)[0], wrong(*given)[1] + 1]
    with pytest.raises(UserError, match="'prediction' does not follow from its logits"):
        checking.check(file, found)


def test_the_check_notices_that_a_longer_sequence_is_cut(tmp_path):
    found = student(*NETWORKS["pooled, projection that depends on padding, low rank"])
    file = exported(found, "pt2", tmp_path / "student.pt2")
    whole = file._run

    def cutting(features, observed):
        return whole(*({m: x[:, : LENGTHS[m]] for m, x in given.items()} for given in (features, observed)))

    file._run = cutting
    with pytest.raises(UserError, match="answers for 7 frames of 'text', of which the network takes 6"):
        checking.check(file, found)
