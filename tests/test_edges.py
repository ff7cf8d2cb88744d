"""Who teaches whom: what training and `mmsa evaluate --edges` write, and what is said where there is nothing."""

import csv
import io
import json
import warnings
from itertools import permutations

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn

from mmsa_core import registry
from mmsa_core.cli import main
from mmsa_core.components import Distiller
from mmsa_core.corpora import data
from mmsa_core.display import Display
from mmsa_core.edges import edge_report, edges, figures
from mmsa_core.errors import UserError
from mmsa_core.run_folder import checkpoint
from mmsa_core.training import experiment

CPU = torch.device("cpu")
NAMES = ("text", "audio", "vision")
PAIRS = list(permutations(NAMES, 2))
COLUMNS = [f"{student}<-{teacher}" for student, teacher in PAIRS]


class Gate(nn.LazyLinear):
    """A layer that takes its width from its first call."""

    def __init__(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            super().__init__(1)


class Graph(Distiller):
    """Learns how strongly each modality's representation is drawn to each other one."""

    needs_teacher = False

    def __init__(self, config, context):
        super().__init__(config, context)
        self.gate = Gate()

    def forward(self, student, teacher, batch):
        found = self.edges(student, teacher, batch)
        self.observe(**{f"{s}<-{t}": weight.nanmean() for (s, t), weight in found.items()})
        apart = {
            (s, t): (student.encoded[s].pooled - student.encoded[t].pooled.detach()).abs().mean() for s, t in PAIRS
        }
        return torch.stack([weight.nan_to_num().mean() * apart[pair] for pair, weight in found.items()]).mean()

    def edges(self, student, teacher, batch):
        parts = student.encoded
        found = {(s, t): self.gate(torch.cat([parts[s].pooled, parts[t].pooled], dim=1)) for s, t in PAIRS}
        both = {(s, t): parts[s].present & parts[t].present for s, t in PAIRS}
        return {pair: x.squeeze(1).sigmoid().masked_fill(~both[pair], float("nan")) for pair, x in found.items()}


class Taught(Graph):
    needs_teacher = True


class Failing(Graph):
    def edges(self, student, teacher, batch):
        if not torch.is_grad_enabled() and not self.training:
            raise RuntimeError("out of order")
        return super().edges(student, teacher, batch)


class Misshapen(Graph):
    def edges(self, student, teacher, batch):
        return {("text", "smell"): torch.zeros(len(batch))}


@pytest.fixture
def recipe(make, monkeypatch):
    """A recipe of a student with the fake term, on data that lack whole modalities here and there."""
    monkeypatch.setattr(registry.distillers, "_loaded", dict(registry.distillers._loaded))
    for name, component in {"fake.graph": Graph, "fake.taught": Taught, "fake.failing": Failing}.items():
        registry.distillers.register(name, component)
    corpus = {"name": "synthetic", "samples": [22, 9, 11], "length": [3, 6], "missing": 0.4}

    def of(**changes):
        terms = {"feature": {"name": "relational"}, "graph": {"name": "fake.graph"}}
        return make.tiny(**{"data": corpus, "teacher": {"kind": "self"}, "distillers": terms} | changes)

    return of


def run(recipe, folder):
    return experiment.train(recipe, folder, CPU, "test", Display())


def evaluate(*arguments):
    result = CliRunner().invoke(main, ["evaluate", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def opened(content):
    with Image.open(io.BytesIO(content)) as image:
        image.load()
    return image


def test_the_files_and_tables_of_an_evaluation(recipe, tmp_path):
    folder = run(recipe(seeds=[1, 2]), tmp_path / "out")
    result = evaluate(folder, "--edges")
    assert result.exit_code == 0, result.output
    seeds = {}
    for seed in (1, 2):
        one = folder / f"seed-{seed}"
        rows = list(csv.DictReader((one / "edges-graph.csv").read_text().splitlines()))
        assert list(rows[0]) == ["id", "split", *COLUMNS]
        loaded = checkpoint.load(one)
        split = data.load(loaded.recipe).splits["test"]
        assert [row["id"] for row in rows] == list(split.ids)
        assert {row["split"] for row in rows} == {"test"}
        found = edges.measure(loaded.model, edge_report.trained_terms(loaded, split), split, loaded.recipe)["graph"]
        present = {m: split.features[m].present().tolist() for m in NAMES}
        for (student, teacher), column in zip(PAIRS, COLUMNS, strict=True):
            has = [a and b for a, b in zip(present[student], present[teacher], strict=True)]
            assert [row[column] != "" for row in rows] == has
            values = [float(row[column]) for row in rows if row[column]]
            kept = [value for value in found[student, teacher].tolist() if value == value]
            assert values == pytest.approx(kept)
            seeds.setdefault(column, []).append(sum(values) / len(values))
        assert any(row[column] == "" for row in rows for column in COLUMNS)
        assert opened((one / "edges-graph.png").read_bytes()).info["dpi"] == pytest.approx((150, 150), abs=0.1)
        for name in ("edges-graph.csv", "edges-graph.png"):
            assert f"written: {one / name}" in result.stdout
    for values in seeds.values():
        assert all(f"{value:.3f}" in result.stdout for value in (*values, sum(values) / 2))
    for said in ("seed 1", "seed 2", "2 seeds, mean ± std", "student<-teacher", "test split (11 samples)"):
        assert said in result.stdout
    assert "f1" not in result.stdout  # no protocol was asked for
    assert not (folder / "evaluate-corrkd-inter.csv").exists()


def test_the_trained_weights_are_read_back(recipe, tmp_path):
    """Lazy parameters too; what the other terms learned is left alone."""
    terms = {"feature": {"name": "feature"}, "graph": {"name": "fake.graph"}}
    one = run(recipe(distillers=terms, teacher={"kind": "trained"}), tmp_path / "out") / "seed-1"
    loaded = checkpoint.load(one)
    found = edge_report.trained_terms(loaded, data.load(loaded.recipe).splits["test"])
    kept, _ = checkpoint.read_tensors(one / "distillers.safetensors")
    assert set(found.state_dict()) == {"graph.gate.weight", "graph.gate.bias"}
    assert {"feature.regressor.weight"} < set(kept)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in found.state_dict().items())


def test_training_leaves_the_heat_map_of_validation(recipe, tmp_path):
    one = run(recipe(), tmp_path / "out") / "seed-1"
    assert [path.name for path in one.glob("edges-*")] == ["edges-graph-valid.png"]
    drawn = (one / "edges-graph-valid.png").read_bytes()
    assert opened(drawn).format == "PNG"
    result = evaluate(one, "--edges", "--split", "valid")
    assert result.exit_code == 0, result.output
    assert (one / "edges-graph-valid.png").read_bytes() == drawn
    assert sorted(path.name for path in one.glob("edges-*")) == ["edges-graph-valid.csv", "edges-graph-valid.png"]


def test_nothing_is_overwritten(recipe, tmp_path):
    one = run(recipe(), tmp_path / "out") / "seed-1"
    (one / "edges-graph.csv").write_text("mine")
    for _ in range(2):
        assert evaluate(one, "--edges").exit_code == 0
    names = {"edges-graph-valid.png", "edges-graph.csv", "edges-graph-2.csv", "edges-graph.png"}
    assert {path.name for path in one.glob("edges-*")} == names
    assert (one / "edges-graph.csv").read_text() == "mine"


def test_protocols_beside_the_edges(recipe, tmp_path):
    one = run(recipe(), tmp_path / "out") / "seed-1"
    result = evaluate(one, "--edges", "--protocol", "inter")
    assert result.exit_code == 0, result.output
    assert (one / "evaluate-corrkd-inter.csv").is_file()
    assert (one / "edges-graph.csv").is_file()


@pytest.mark.parametrize(
    ("terms", "has"),
    [
        ({}, "its terms: none"),
        ({"kd": {"name": "kd"}}, "its terms: kd (kd)"),
        ({"graph": {"name": "fake.taught"}}, "its terms: graph (fake.taught)"),
    ],
    ids=["no terms", "another term", "a term that needs a teacher"],
)
def test_a_run_without_edges(recipe, tmp_path, terms, has):
    one = run(recipe(distillers=terms), tmp_path / "out") / "seed-1"
    before = sorted(one.iterdir())
    result = evaluate(one, "--edges")
    assert result.exit_code == 2
    assert f"error: {one}: no loss term of it gives edges ({has})" in result.stderr
    assert "fake.graph" in result.stderr.partition("installed:")[2]
    assert "fake.taught" not in result.stderr.partition("installed:")[2]
    assert sorted(one.iterdir()) == before


def test_weights_of_another_recipe(recipe, tmp_path):
    one = run(recipe(), tmp_path / "out") / "seed-1"
    checkpoint.write_tensors(one / "distillers.safetensors", {"graph.gate.weight": torch.zeros(1, 3)}, {})
    result = evaluate(one, "--edges")
    assert result.exit_code == 2
    assert "distillers.safetensors: does not fit the recipe beside it" in result.stderr


def test_edges_that_fail_stop_no_training(recipe, tmp_path, capsys):
    one = run(recipe(distillers={"graph": {"name": "fake.failing"}}), tmp_path / "out") / "seed-1"
    assert "the edges were not drawn; training goes on (RuntimeError: out of order)" in capsys.readouterr().out
    assert (one / "predictions.csv").is_file()
    assert not list(one.glob("edges-*"))


def test_edges_of_another_shape_are_refused(make):
    stages = make.stages(make.tiny())
    network = stages.network(stages.recipe.model, "student", stages.train)
    terms = nn.ModuleDict({"graph": Misshapen(None, None)})
    with pytest.raises(UserError, match=r"distillers\.graph: its edges have \('text', 'smell'\) in shape"):
        edges.measure(network, terms, stages.valid, stages.recipe)


def test_names_with_an_arrow_reach_the_logs(recipe, tmp_path):
    whole = {"name": "synthetic", "samples": [22, 9, 11], "length": [3, 6]}
    one = run(recipe(data=whole, masker=None, track={"wandb": {"mode": "offline"}}), tmp_path / "out") / "seed-1"
    rows = [json.loads(line) for line in (one / "metrics.jsonl").read_text().splitlines()]
    steps = [row["graph/audio<-text"] for row in rows if "best" not in row]
    epochs = [row["train/graph/audio<-text"] for row in rows if "best" in row]
    assert epochs == pytest.approx([sum(steps[:3]) / 3, sum(steps[3:]) / 3])
    (logged,) = one.glob("wandb/offline-run-*/run-*.wandb")
    content = logged.read_bytes()
    for name in (b"student/graph/audio<-text", b"student/train/graph/audio<-text"):
        assert name in content
    (picture,) = one.glob("wandb/offline-run-*/files/media/images/edges/graph_*.png")
    assert picture.read_bytes() == (one / "edges-graph-valid.png").read_bytes()


@pytest.mark.parametrize("names", [("text",), ("text", "audio"), NAMES, ("a_rather_long_name", *"bcde")])
def test_a_heat_map(tmp_path, names):
    weights = {(s, t): 0.1 * len(s + t) for s in names for t in names} | {names[:2]: float("nan")}
    figures.heat_map(tmp_path / "one.png", "title\nsecond line", names, weights)
    figures.heat_map(tmp_path / "other.png", "title\nsecond line", names, weights)
    content = (tmp_path / "one.png").read_bytes()
    assert content == (tmp_path / "other.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "other.png"]
    image = opened(content)
    assert image.size[0] > 150 * len(names)
    assert not image.text  # neither time nor version


def test_the_diagonal_and_pairs_without_a_value_are_blank():
    weights = {("text", "audio"): 0.3, ("audio", "text"): 0.1}
    plain = figures.png("title", NAMES, weights)
    assert plain == figures.png("title", NAMES, weights | {(m, m): 1.0 for m in NAMES})
    assert plain == figures.png("title", NAMES, weights | {("text", "vision"): float("nan")})
    assert plain != figures.png("title", NAMES, weights | {("text", "vision"): 0.2})
    negative = figures.png("title", NAMES, dict.fromkeys(PAIRS, -1.0))
    assert opened(negative).format == "PNG"


def test_means_are_over_the_samples_that_have_both():
    nan = float("nan")
    found = {("a", "b"): torch.tensor([0.25, nan, 0.75]), ("b", "a"): torch.tensor([nan, nan, nan])}
    assert edges.means(found) == {("a", "b"): 0.5}
