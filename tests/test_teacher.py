"""Kinds of teachers: self, average, a run, an ensemble; and what does not fit."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

import pytest
import torch

from mmsa_core import assemble, registry
from mmsa_core.components import Context
from mmsa_core.corpora import batching, data
from mmsa_core.corpora.sequences import Sequences
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.model import Model
from mmsa_core.run_folder import checkpoint
from mmsa_core.tasks import BinaryLabels, Bins, Regression
from mmsa_core.training import experiment
from mmsa_core.training.teacher import Average, Fixed, Myself, ensemble
from mmsa_core.types import Batch, Outputs, map_tensors, narrow


def run(recipe, folder):
    return experiment.train(recipe, folder, torch.device("cpu"), "test", Display())


class Answer(torch.nn.Module):
    """Gives the same logits to every sample."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = torch.tensor([logits])

    def forward(self, batch):
        return Outputs({}, torch.zeros(len(batch), 1), self.logits.expand(len(batch), -1))


def batch_of(n):
    return Batch({}, {}, torch.zeros(n), torch.arange(n), torch.arange(n))


def test_an_ensemble_averages_probabilities_by_hand():
    together = ensemble([Answer(0.0, 0.0), Answer(0.0, torch.log(torch.tensor(3.0)).item())], Bins(classes=2))
    probability = together(batch_of(3)).logits.softmax(dim=1)
    torch.testing.assert_close(probability, torch.tensor([[0.375, 0.625]]).expand(3, 2))  # mean of 1/2 and 3/4


def test_an_ensemble_averages_each_group_of_several_labels():
    log3 = torch.log(torch.tensor(3.0)).item()
    together = ensemble([Answer(0.0, 0.0, 0.0, log3), Answer(0.0, log3, 0.0, 0.0)], BinaryLabels(names=("a", "b")))
    probability = together(batch_of(2)).logits.view(2, 2, 2).softmax(dim=2)
    torch.testing.assert_close(probability, torch.tensor([0.375, 0.625]).expand(2, 2, 2))


def test_an_ensemble_of_confident_networks_stays_finite():
    logits = ensemble([Answer(0.0, 120.0), Answer(0.0, 130.0)], Bins(classes=2))(batch_of(1)).logits
    assert torch.isfinite(logits).all()
    assert logits[0, 1] - logits[0, 0] > 100


def test_an_ensemble_averages_scores():
    outputs = ensemble([Answer(1.0), Answer(-2.0)], Regression())(batch_of(2))
    assert outputs.logits.tolist() == [[-0.5], [-0.5]]
    assert outputs.joint.shape == (2, 0)


def test_self_is_the_student_itself_with_its_gradient():
    outputs = Outputs({}, torch.ones(1, 1, requires_grad=True), torch.ones(1, 1))
    assert Myself()(batch_of(1), outputs) is outputs


def test_the_average_follows_the_student_by_hand():
    student = torch.nn.Linear(1, 1, bias=False)
    average = Average(student, decay=0.75)
    values = []
    for weight in (1.0, 2.0, 6.0):
        with torch.no_grad():
            student.weight.fill_(weight)
        average.updated(student)
        values.append(average.average.network.weight.item())
    assert values == [1.0, 1.25, 2.4375]  # the first update copies; then 3/4 old + 1/4 new


@pytest.mark.parametrize("size", [1, 3, 8, 64])
def test_fixed_outputs_are_those_of_the_network(make, size):
    stages = make.stages(make.tiny())
    network = stages.network(stages.recipe.model, "teacher", stages.train).eval()
    kept, fresh = (Fixed(network, size, lengths=stages.data.lengths) for _ in range(2))
    kept.keep(stages.train, stages.recipe.task)
    order = torch.randperm(len(stages.train), generator=torch.Generator().manual_seed(0))
    for batch in batching.batches(stages.train, stages.recipe.task, size, order):
        one, other = kept(batch, None), fresh(batch, None)
        map_tensors(lambda a, b: pytest.fail("a kept output differs") if not torch.equal(a, b) else a, one, other)
        with torch.no_grad():
            torch.testing.assert_close(one.logits, network(batch).logits, atol=1e-6, rtol=1e-5)


@dataclass(frozen=True, slots=True)
class More(Outputs):
    """Outputs of a fusion that shows more than others."""

    parts: Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Most(More):
    """Outputs of a fusion that shows more still."""

    whole: torch.Tensor


@dataclass(frozen=True, slots=True)
class Other(Outputs):
    """Outputs that go another way."""


def most(n):
    x = torch.arange(float(n)).unsqueeze(1)
    return Most({}, x, x + 1, {"part": x + 2}, x + 3)


def test_outputs_are_narrowed_by_hand():
    whole = most(2)
    plain, more = narrow(whole, Outputs), narrow(whole, More)
    assert type(plain) is Outputs
    assert (plain.encoded, plain.joint, plain.logits) == ({}, whole.joint, whole.logits)
    assert type(more) is More
    assert more.parts is whole.parts
    assert narrow(plain, More) is plain  # a term that reads more of the student alone


def test_only_what_the_terms_read_is_kept(make):
    stages = make.stages(make.tiny())
    for reads, parts in ((Outputs, False), (More, True)):
        fixed = Fixed(lambda batch: most(len(batch)), 8, reads, lengths={})
        fixed.keep(stages.train, stages.recipe.task)
        assert type(fixed.kept) is reads
        assert hasattr(fixed.kept, "parts") is parts
        assert fixed.kept.joint.shape == (22, 1)
        batch = next(batching.batches(stages.train, stages.recipe.task, 8))
        assert type(fixed(batch, None)) is type(fixed(batch, None, training=False)) is reads


@pytest.mark.needs("mmsa-corrkd", "mmsa-dmd")
@pytest.mark.parametrize(
    ("scd", "cpd", "expected"),
    [(Outputs, Outputs, Outputs), (More, Outputs, More), (More, Most, Most), (Most, Most, Most), (Most, Other, "all")],
)
def test_what_the_terms_read_of_a_teacher(make, monkeypatch, scd, cpd, expected):
    """The most derived class, or, where two go different ways, all that the fusion gives."""
    terms = {"scd": {"name": "corrkd.scd"}, "cpd": {"name": "corrkd.cpd"}, "alone": {"name": "dmd.margin"}}
    recipe = make.corrkd(distillers=terms)

    @dataclass(frozen=True, slots=True)
    class All(Most, Other):
        """Both ways."""

    monkeypatch.setattr(registry.fusions.get("concat"), "gives", All)
    for name, reads in {"corrkd.scd": scd, "corrkd.cpd": cpd, "dmd.margin": All}.items():
        monkeypatch.setattr(registry.distillers.get(name), "reads", reads)
    assert assemble.read_of_teacher(recipe) is (All if expected == "all" else expected)
    assert assemble.read_of_teacher(make.tiny()) is Outputs


def test_a_run_teaches(make, tmp_path):
    teacher = run(make.tiny(seeds=[1, 2]), tmp_path / "teacher")
    recipe = make.corrkd(teacher={"run": str(teacher)}, seeds=[2])
    trainer, taught = make.stages(recipe).student()
    assert taught is None
    weights = teacher / "seed-2" / "student.safetensors"
    assert make.stages(recipe).taught_by() == {str(weights.parent): sha256(weights.read_bytes()).hexdigest()}
    same = checkpoint.load(teacher / "seed-2").model.state_dict()
    assert all(torch.equal(same[name], tensor) for name, tensor in trainer.teacher.network.state_dict().items())
    with pytest.raises(UserError, match="holds seed-1, seed-2, but no seed-9"):
        make.stages(make.corrkd(teacher={"run": str(teacher)}, seeds=[9])).student()


def test_an_ensemble_of_runs_teaches_responses_only(make, tmp_path):
    teacher = run(make.tiny(seeds=[1, 2]), tmp_path / "teacher")
    runs = {"runs": [str(teacher / "seed-1"), str(teacher / "seed-2")]}
    _, heard = make.fitted(make.tiny(teacher=runs, distillers={"kd": {"name": "kd"}}))
    assert all(value > 0 for value in heard.series("loss/kd"))
    hint = {"hint": {"name": "feature"}}
    with pytest.raises(UserError, match=r"distillers.hint: 'feature' compares representations"):
        assemble.contracts(make.tiny(teacher=runs, distillers=hint))


@pytest.mark.parametrize("kind", ["self", "ema"])
def test_teachers_without_a_stage_of_their_own(make, kind):
    _, heard = make.fitted(make.corrkd(teacher={"kind": kind}))
    assert not heard.series("loss/task", stage="teacher")
    assert len(heard.series("loss/scd")) == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"name": "synthetic", "samples": [22, 9, 11], "channels": {"text": 7, "audio": 15, "vision": 20}}},
         r"reads 'text' 150 wide, but the data have it 7 wide"),
        ({"task": {"kind": "bins", "classes": 3}}, "was trained for another task"),
        ({"model": {"dim": 8, "encoders": {"text": {"name": "pooled"}}, "fusion": {"name": "concat"}}},
         "reads 'audio' 15 wide, but the data of this recipe have text"),
        pytest.param(
            {"model": {"dim": 4, "encoders": {m: {"name": "pooled"} for m in ("text", "audio", "vision")},
                       "fusion": {"name": "concat"}}},
            r"distillers.scd: the term does not fit student \(joint \(4, 12\)\) and teacher \(joint \(4, 24\)\)",
            marks=pytest.mark.needs("mmsa-corrkd")),
    ],
)  # fmt: skip
def test_a_run_that_does_not_fit(make, tmp_path, change, message):
    teacher = run(make.tiny(), tmp_path / "teacher")
    with pytest.raises(UserError, match=message):
        make.stages(make.corrkd(teacher={"run": str(teacher)}, **change)).student()


def test_a_projecting_term_bridges_widths(make, tmp_path):
    teacher = run(make.tiny(), tmp_path / "teacher")
    model = {
        "dim": 4,
        "encoders": {m: {"name": "pooled"} for m in ("text", "audio", "vision")},
        "fusion": {"name": "concat"},
    }
    recipe = make.tiny(teacher={"run": str(teacher)}, model=model, distillers={"fitnet": {"name": "feature"}})
    trainer, heard = make.fitted(recipe)
    assert len(heard.series("loss/fitnet")) == 6
    assert sum(p.numel() for p in trainer.terms.modules.parameters()) == 12 * 24 + 24


def test_a_teacher_of_complete_samples_only(make):
    config = {"name": "synthetic", "samples": [40, 20, 11], "length": [3, 6], "missing": 0.3}
    recipe = make.corrkd(data=config, teacher={"kind": "trained", "require": "complete"})
    stages = make.stages(recipe, heard := make.Heard())
    expected = data.complete(stages.train)
    assert 0 < len(expected) < len(stages.train)
    stages.student()
    assert f"the teacher learns from the {len(expected)} training samples with every modality" in heard.notes


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"distillers": {"kd": {"name": "kd"}}}, r"distillers.kd: 'kd' needs a teacher"),
        ({"task": {"kind": "regression"}, "teacher": {"kind": "ema"}, "distillers": {"kd": {"name": "kd"}}},
         r"distillers.kd: 'kd' compares class responses, and task.kind regression has none"),
    ],
)  # fmt: skip
def test_contracts_are_checked_before_training(make, sections, message):
    with pytest.raises(UserError, match=message):
        assemble.contracts(make.tiny(**sections))


def test_a_teacher_of_one_modality_teaches_responses(make, tmp_path):
    only_text = {"dim": 8, "encoders": {"text": {"name": "pooled"}}, "fusion": {"name": "concat"}}
    recipe = make.tiny(teacher={"kind": "trained", "model": only_text}, distillers={"kd": {"name": "kd"}})
    folder = run(recipe, tmp_path / "out")
    tensors, about = checkpoint.read_tensors(folder / "seed-1" / "teacher.safetensors")
    assert list(about["channels"]) == ["text"]
    assert not any("audio" in name for name in tensors)


def test_statistics_of_a_constant_column():
    context = Context(channels={"x": 3}, lengths={"x": 2}, dim=1, task=Regression())
    model = Model(context.channels, {}, torch.nn.Identity())
    frames = torch.tensor([[1.0, 5.0, 400.0], [3.0, 5.0, 200.0]])
    module = model.standardize["x"]
    module.fit(Sequences.of(frames.unsqueeze(0), torch.ones(1, 2, dtype=torch.bool)))
    assert module(frames.unsqueeze(0))[0].tolist() == [[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]]
    assert module(torch.tensor([[[2.0, 9.0, 300.0]]]))[0].tolist() == [
        [0.0, 0.0, 0.0]
    ]  # never seen to vary: says nothing


def test_a_modality_that_training_lacked_says_nothing(make):
    stages = make.stages(make.tiny())
    deaf = {**stages.train.features, "audio": stages.train.features["audio"].missing()}
    network = stages.network(stages.recipe.model, "student", replace(stages.train, features=deaf)).eval()
    batch = next(batching.batches(stages.data.valid, stages.recipe.task, 4))
    assert batch.present("audio").all()
    with torch.no_grad():
        heard = network(batch).logits
        deaf = network(batch.hide({"audio": torch.ones_like(batch.observed["audio"])})).logits
    assert torch.equal(heard, deaf)
