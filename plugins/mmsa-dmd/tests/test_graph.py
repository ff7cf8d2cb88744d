import math
from dataclasses import replace
from itertools import permutations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from mmsa_dmd.graph import GraphDistillation
from mmsa_dmd.outputs import Node

from mmsa_core import testing
from mmsa_core.components import Context
from mmsa_core.errors import UserError
from mmsa_core.tasks import Classification, Regression

THREE = ("text", "audio", "vision")
PRIORS = {
    "homogeneous": {"audio<-text": 1.0, "vision<-text": 1.0},
    "heterogeneous": {"audio<-text": 1.0, "vision<-text": 1.0, "audio<-vision": 1.0},
}
"""As published."""


def build(modalities, nodes="homogeneous", dim=1, task=None, **fields):
    context = Context(dict.fromkeys(modalities, 1), dict.fromkeys(modalities, 1), dim, task or Regression())
    torch.manual_seed(0)
    return GraphDistillation(GraphDistillation.Config(nodes=nodes, **fields), context)


def read_off(term, student=0.0, teacher=0.0):
    """Edges depend on the (one) logit of each end alone: score = student * f_i + teacher * f_j."""
    with torch.no_grad():
        for p in term.parameters():
            p.zero_()
        term.on_logits.weight.fill_(1.0)
        term.on_edge.weight[0, 0], term.on_edge.weight[0, 2] = student, teacher
    return term


class Out:
    """Outputs of which a graph reads its nodes and who is present."""

    def __init__(self, f, r, present=None):
        self.homogeneous = self.heterogeneous = {m: Node(x, r[m]) for m, x in f.items()}
        self.present = torch.ones(len(next(iter(f.values()))), len(f), dtype=torch.bool) if present is None else present


def scalars(**values):
    """One sample or more with a scalar for each modality."""
    return {m: torch.tensor(v).view(-1, 1) for m, v in values.items()}


def value(term, out):
    return term(out, out, None).item()


def logged(term, out):
    term(out, out, None)
    return {name: x.item() for name, x in term.observations.items()}


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


TWO = Out(scalars(text=8.0, audio=0.0), {"text": torch.tensor([[3.0, 4.0]]), "audio": torch.tensor([[4.0, 3.0]])})
"""A distance of 8 between the logits; of 2, or a cosine of 0.96, between the representations."""


def two(**fields):
    """Scores of 8 for text <- audio and 0 for the other, which alpha makes 1 and 0."""
    return read_off(build(("text", "audio"), dim=2, hidden=1, **fields), student=1.0)


def test_edges_by_hand():
    edges = two().edges(TWO, TWO, None)
    assert {pair: e.tolist() for pair, e in edges.items()} == {
        ("text", "audio"): [pytest.approx(sigmoid(1.0))],
        ("audio", "text"): [pytest.approx(sigmoid(-1.0))],
    }


@pytest.mark.parametrize(
    ("ends", "wanted"), [({"student": 1.0}, [2, 2, 0, 0, 1, 1]), ({"teacher": 1.0}, [0, 1, 2, 1, 2, 0])]
)
def test_the_student_is_the_first_of_a_pair(ends, wanted):
    term = read_off(build(THREE, hidden=1, alpha=0.5), **ends)
    f = scalars(text=2.0, audio=0.0, vision=1.0)
    edges = term.edges(*2 * [Out(f, f)], None)
    scores = torch.tensor([0.5 * s for s in wanted]).softmax(dim=0).tolist()
    assert list(edges) == list(permutations(THREE, 2))
    assert [e.item() for e in edges.values()] == pytest.approx(scores)


REGULARIZATION = 10 * 2 * (sigmoid(1.0) - 0.5) ** 2
LOGIT = (1 + 1) * 8.0  # edges and priors sum to 1 each


@pytest.mark.parametrize(
    ("nodes", "variant", "representation", "counts"),
    [
        ("homogeneous", "published", 10 * 2 * 2.0, False),
        ("homogeneous", "described", 10 * 2 * 2.0, True),
        ("heterogeneous", "published", 10 * 2 * 0.96, True),  # repels
        ("heterogeneous", "described", 10 * 2 * 2.0, True),
    ],
)
def test_the_loss_by_hand(nodes, variant, representation, counts):
    term = two(nodes=nodes, variant=variant)
    parts = {"regularization": REGULARIZATION, "logit": LOGIT, "representation": representation}
    edges = {"text<-audio": sigmoid(1.0), "audio<-text": sigmoid(-1.0)}
    assert logged(term.eval(), TWO) == pytest.approx(parts | edges)
    assert value(term, TWO) == pytest.approx(REGULARIZATION + LOGIT + counts * representation)
    assert value(term.train(), TWO) == pytest.approx(REGULARIZATION + LOGIT + counts * representation)
    assert ("representation" in logged(term, TWO)) == counts  # what does not count is not computed in training


@pytest.mark.parametrize(("metric", "wanted"), [("l1", 4.0), ("l2", 8.0), ("cosine", 2.0)])
def test_distances_by_hand(metric, wanted):
    task = Classification(classes=2)
    f = {"text": torch.tensor([[1.0, 1.0]]), "audio": torch.tensor([[-1.0, -1.0]])}
    term = build(("text", "audio"), metric=metric, task=task, regularization=0.0)
    assert value(term, Out(f, scalars(text=0.0, audio=0.0))) == pytest.approx(2 * wanted)


def test_factors():
    term = two(variant="described", logit_weight=0.5, representation_weight=0.25, regularization=3.0)
    assert value(term, TWO) == pytest.approx(0.3 * REGULARIZATION + 0.5 * LOGIT + 0.25 * 4.0)


@pytest.mark.parametrize(("nodes", "high", "low"), [("homogeneous", 0.4823, 0.0088), ("heterogeneous", 0.3273, 0.0060)])
def test_the_published_priors(nodes, high, low):
    prior = build(THREE, priors=PRIORS[nodes]).prior
    found = {f"{i}<-{j}": prior[a, b].item() for a, i in enumerate(THREE) for b, j in enumerate(THREE)}
    wanted = {name: 0.0 if name.split("<-")[0] == name.split("<-")[1] else low for name in found}
    assert found == pytest.approx(wanted | dict.fromkeys(PRIORS[nodes], high), abs=5e-5)


def test_priors_are_equal_where_none_is_named():
    assert build(THREE).prior.flatten().unique().tolist() == pytest.approx([0.0, 1 / 6])


def test_the_temperature_of_priors():
    prior = build(("text", "audio"), priors={"audio <- text": 2.0}, prior_temperature=4.0).prior
    assert prior[1, 0].item() == pytest.approx(sigmoid(0.5))


@pytest.mark.parametrize("name", ["audio<-touch", "text<-text", "audio->text", "audio"])
def test_a_prior_of_no_pair_is_refused_with_the_pairs(name):
    pairs = "text<-audio, audio<-text"
    with pytest.raises(UserError, match=rf"priors names '{name}', which is no pair .*; pairs: {pairs}$"):
        build(("text", "audio"), priors={name: 1.0})


def test_one_modality_is_no_graph():
    with pytest.raises(UserError, match="a graph needs two or more"):
        build(("text",))


def test_a_sample_without_the_other_modality_does_not_count():
    """The second sample lacks audio, whose logit there would be far off."""
    f = scalars(text=[8.0, 8.0], audio=[0.0, 500.0])
    r = {m: node.representation.repeat(2, 1) for m, node in TWO.homogeneous.items()}
    out = Out(f, r, torch.tensor([[True, True], [True, False]]))
    term = two(variant="described")
    assert value(term, out) == pytest.approx(value(term, TWO))
    for pair, edge in term.edges(TWO, TWO, None).items():
        assert term.edges(out, out, None)[pair].tolist() == pytest.approx([edge.item(), math.nan], nan_ok=True)


def test_edges_are_shared_among_the_pairs_that_are_there():
    term = read_off(build(THREE, hidden=1, alpha=1.0), student=1.0)
    f = scalars(text=1.0, audio=0.0, vision=9.0)
    out = Out(f, f, torch.tensor([[True, True, False]]))
    found = {pair: e.item() for pair, e in term.edges(out, out, None).items()}
    assert found.pop(("text", "audio")) == pytest.approx(sigmoid(1.0))
    assert found.pop(("audio", "text")) == pytest.approx(sigmoid(-1.0))
    assert all(math.isnan(e) for e in found.values())


def test_the_mean_of_a_pair_is_over_the_samples_that_have_both():
    """Sample 0 has all, 1 lacks vision, 2 has text alone; edges are equal where they are."""
    f = scalars(text=[1.0, 2.0, 3.0], audio=[0.0, 0.0, 0.0], vision=[0.0, 7.0, 7.0])
    out = Out(f, f, torch.tensor([[True, True, True], [True, True, False], [True, False, False]]))
    seen = logged(read_off(build(THREE, hidden=1)), out)
    both, rare = (1 / 6 + 1 / 2) / 2, 1 / 6
    assert seen["text<-audio"] == seen["audio<-text"] == pytest.approx(both)
    assert seen["vision<-text"] == seen["audio<-vision"] == pytest.approx(rare)
    pair = ((1 / 6 + 1 / 6) * 1.0 + (1 / 2 + 1 / 6) * 2.0) / 2
    assert seen["logit"] == pytest.approx(2 * pair + 2 * (1 / 6 + 1 / 6) * 1.0)


def test_a_batch_without_any_pair_has_a_finite_gradient():
    f = {m: torch.ones(2, 1, requires_grad=True) for m in THREE}
    out = Out(f, f, torch.tensor([[True, False, False], [False, False, False]]))
    term = build(THREE, nodes="homogeneous")
    loss = term(out, out, None)
    assert loss.item() == pytest.approx(10 * 6 * (1 / 6) ** 2)
    found = torch.autograd.grad(loss, [*f.values(), *term.parameters()], allow_unused=True, materialize_grads=True)
    assert not any(g.any() for g in found)


def test_the_teacher_of_a_pair_gets_no_gradient():
    """With edges that depend on nothing each logit has the gradient of the one pair in which it is the student."""
    f = {m: x.requires_grad_() for m, x in scalars(text=8.0, audio=0.0).items()}
    term = read_off(build(("text", "audio"), hidden=1, priors={"audio<-text": 0.25}))
    out = Out(f, f)
    found = torch.autograd.grad(term(out, out, None), list(f.values()))
    assert [g.item() for g in found] == pytest.approx([0.5 + sigmoid(-1.0), -(0.5 + sigmoid(1.0))])


def test_who_is_repelled_gets_a_gradient_and_from_whom_does_not():
    """d cos / d r_i = (r_j / |r_j| - cos * r_i / |r_i|) / |r_i|, and the weight of the one pair."""
    r = {m: torch.tensor([x], requires_grad=True) for m, x in {"text": [3.0, 4.0], "audio": [4.0, 3.0]}.items()}
    out = Out(scalars(text=0.0, audio=0.0), r)
    term = read_off(build(("text", "audio"), nodes="heterogeneous", dim=2, hidden=1))
    found = torch.autograd.grad(term(out, out, None), r["text"])[0]
    wanted = [10 * (a / 5 - 0.96 * b / 5) / 5 for a, b in ((4, 3), (3, 4))]
    assert found.tolist() == [pytest.approx(wanted)]


def test_the_edges_get_a_gradient():
    """d L / d score of a softmax over two: e (1 - e) times the difference of what the edges are multiplied by."""
    term = build(("text", "audio"), hidden=1, regularization=10.0, alpha=0.5, priors={"audio<-text": 0.25})
    out = Out(scalars(text=8.0, audio=0.0), scalars(text=0.0, audio=0.0))
    read_off(term)
    (found,) = torch.autograd.grad(term(out, out, None), term.on_edge.weight)
    p = sigmoid(-1.0)  # of text<-audio; both logit distances are 8 and cancel
    slope = 0.25 * 20 * ((0.5 - p) - (0.5 - (1 - p)))
    assert found.tolist() == [pytest.approx([0.5 * slope * 8.0, 0.0, -0.5 * slope * 8.0, 0.0])]


def by_loops(term, out):
    """The loss of the class docstring, pair by pair and sample by sample."""
    c, nodes, size = term.config, getattr(out, term.config.nodes), len(out.present)
    here = {m: out.present[:, n] for n, m in enumerate(term.modalities)}
    z = {
        m: torch.cat([term.on_logits(n.logits), term.on_representation(n.representation)], 1) for m, n in nodes.items()
    }
    pairs = list(permutations(term.modalities, 2))
    named = torch.tensor([c.priors.get(f"{i}<-{j}", 0.0) for i, j in pairs], dtype=torch.float64)
    edges = {pair: {} for pair in pairs}
    for b in range(size):
        there = [pair for pair in pairs if here[pair[0]][b] and here[pair[1]][b]]
        scores = [c.alpha * term.on_edge(torch.cat([z[i][b], z[j][b]])).squeeze() for i, j in there]
        if there:
            for pair, edge in zip(there, torch.stack(scores).softmax(dim=0), strict=True):
                edges[pair][b] = edge
    total = 0.0
    for (pair, found), p in zip(edges.items(), (named / c.prior_temperature).softmax(dim=0), strict=True):
        i, j = (nodes[m] for m in pair)
        count = max(1, len(found))
        total += c.regularization * (sum(found.values()) / count - p) ** 2

        def mean(function, found=found, count=count):
            return sum(function(b) for b in found) / count

        def apart(x, y, b):
            x, y = x[b], y[b].detach()
            if c.metric == "cosine":
                return 1 - F.cosine_similarity(x, y, dim=0)
            return (x - y).abs().sum() if c.metric == "l1" else (x - y).square().sum()

        def weight(b, found=found, p=p):
            return found[b] + p

        total += c.logit_weight * mean(lambda b, i=i, j=j: weight(b) * apart(i.logits, j.logits, b))
        r_i, r_j = i.representation, j.representation
        if c.variant == "described":
            total += c.representation_weight * mean(lambda b, x=r_i, y=r_j: weight(b) * apart(x, y, b))
        elif c.nodes == "heterogeneous":
            repelled = F.cosine_embedding_loss(r_i, r_j.detach(), -torch.ones(size), reduction="none")
            total += c.representation_weight * mean(lambda b, x=repelled: x[b]) * mean(weight)
    return total


@pytest.mark.parametrize("nodes", ["homogeneous", "heterogeneous"])
@pytest.mark.parametrize("variant", ["published", "described"])
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_equals_the_loop(nodes, variant, data):
    names = testing.MODALITIES[: data.draw(st.integers(2, 4))]
    size, width, dim = data.draw(st.integers(1, 4)), data.draw(st.sampled_from([1, 3])), 2
    term = build(
        names,
        nodes=nodes,
        dim=dim,
        task=Classification(classes=3) if width == 3 else Regression(),
        hidden=3,
        variant=variant,
        metric=data.draw(st.sampled_from(["l1", "l2", "cosine"])),
        priors={"audio<-text": 1.0},
        alpha=2.0,
    ).double()
    wide = dim * (len(names) - 1) if nodes == "heterogeneous" else dim
    source = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    f, r = (
        {m: torch.randn(size, w, generator=source, dtype=torch.float64, requires_grad=True) for m in names}
        for w in (width, wide)
    )
    flags = data.draw(st.lists(st.booleans(), min_size=size * len(names), max_size=size * len(names)))
    out = Out(f, r, torch.tensor(flags).view(size, -1))
    leaves = [*f.values(), *r.values(), *term.parameters()]
    losses = term(out, out, None), torch.as_tensor(by_loops(term, out))
    torch.testing.assert_close(*losses, rtol=1e-6, atol=1e-6)
    if losses[1].requires_grad:
        ours, theirs = (torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True) for loss in losses)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_nodes_are_read_by_the_recipes_order_not_by_the_mappings():
    term, f, r = build(THREE), scalars(text=1.0, audio=2.0, vision=4.0), scalars(text=3.0, audio=1.0, vision=2.0)
    turned = Out(dict(reversed(f.items())), r)
    assert value(term, turned) == value(term, Out(f, r))


FIELDS = [
    {"nodes": "homogeneous"},
    {"nodes": "heterogeneous"},
    {"nodes": "homogeneous", "variant": "described", "metric": "l2"},
    {"nodes": "heterogeneous", "variant": "described", "metric": "cosine"},
]


@pytest.mark.parametrize("fields", FIELDS, ids=lambda fields: "-".join(fields.values()))
def test_it_conforms(fields):
    config = GraphDistillation.Config(**fields)
    testing.check_distiller(GraphDistillation, config, counts=(2, 3, 4))


def test_it_reads_the_nodes_that_it_is_told_to(decoupled):
    full = testing.batch(3)
    made = testing.context(full)
    out = decoupled(full, made)
    blank = {m: Node(0 * n.logits, 0 * n.representation) for m, n in out.heterogeneous.items()}
    other = replace(out, heterogeneous=blank)
    for nodes, same in (("homogeneous", True), ("heterogeneous", False)):
        torch.manual_seed(0)
        term = GraphDistillation(GraphDistillation.Config(nodes=nodes), made)
        assert torch.equal(term(out, out, full), term(other, other, full)) == same
