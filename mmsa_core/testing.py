"""The conformance kit: what every component must hold; a plugin runs it in one line of its own tests.

    testing.check_distiller(SampleContrastive, SampleContrastive.Config(margin=1.2))

A check raises `AssertionError` that names the component, the case and the defect.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mmsa_core import missing
from mmsa_core.components import Context, Distiller, Encoder, Fusion, Masker
from mmsa_core.corpus import LABEL, LABELS
from mmsa_core.encoders import masked
from mmsa_core.missing import Draw
from mmsa_core.tasks import BinaryLabels, Bins, Classification, Regression, TaskBase
from mmsa_core.types import Batch, Encoded, Modality, Outputs, map_tensors

MODALITIES = ("text", "audio", "vision", "touch")
TASKS: tuple[TaskBase, ...] = (
    Regression(),
    Bins(classes=2),
    Bins(classes=7),
    Classification(classes=4),
    BinaryLabels(names=("happy", "sad")),
)
"""One task of every kind, and the one whose targets may have no category."""
COUNTS = (1, 2, 3, 4)
"""Numbers of modalities that a component is tried with."""

Encode = Callable[[Batch, Context], Mapping[Modality, Encoded]]
Build = Callable[[Batch, Context, int], Outputs]


def batch(
    modalities: int | Sequence[Modality] = 3, samples: int = 6, task: TaskBase = TASKS[0], seed: int = 0
) -> Batch:
    """Samples with modalities of different width and length, with padding, holes and absent modalities.

    The first sample has every modality, of several ones each of the next lacks another; what stands
    at unobserved frames is not zero.
    """
    names = MODALITIES[:modalities] if isinstance(modalities, int) else tuple(modalities)
    source = torch.Generator().manual_seed(seed)
    row = torch.arange(samples).unsqueeze(1)
    features, observed = {}, {}
    for i, m in enumerate(names):
        time = 7 + i
        frame = torch.arange(time)
        length = time - (row + i) % (time // 2)
        features[m] = torch.randn(samples, time, 4 + i, generator=source)
        ends = (frame == 1) | (frame == length - 1)
        seen = (frame < length) & ((torch.rand(samples, time, generator=source) < 0.8) | ends)
        lacks = (row % (len(names) + 1) == i + 1) & (len(names) > 1)
        observed[m] = seen & ~lacks
    if task.needs == LABELS:
        target = torch.randint(0, 2, (samples, task.groups), generator=source)
    elif task.needs == LABEL:
        target = torch.randint(0, task.class_count, (samples,), generator=source)
    else:
        target = torch.randint(-3, 4, (samples,), generator=source).float()
        target[:1] = 1.0
    key = missing.keys([f"sample {i}" for i in range(samples)])
    return Batch(features, observed, target, torch.arange(samples), key)


def context(of: Batch, task: TaskBase = TASKS[0], dim: int = 8, padding: int = 3) -> Context:
    """What a component would be built from for a batch, with room for `padding` more frames."""
    return Context(
        channels={m: x.shape[2] for m, x in of.features.items()},
        lengths={m: x.shape[1] + padding for m, x in of.features.items()},
        dim=dim,
        task=task,  # type: ignore[arg-type]
    )


def encoded(of: Batch, context: Context, seed: int = 0) -> dict[Modality, Encoded]:
    """A fixed projection of the observed frames, and their mean: the simplest encoder that conforms."""
    found = {}
    for m, x in of.features.items():
        source = torch.Generator().manual_seed(missing.derive(seed, m))
        weight = torch.randn(x.shape[2], context.dim, generator=source)
        sequence = masked.fill(masked.fill(x, of.observed[m]) @ weight, of.observed[m])
        found[m] = Encoded(sequence, of.observed[m], masked.mean(sequence, of.observed[m]))
    return found


def outputs(of: Batch, context: Context, seed: int = 0) -> Outputs:
    """Outputs that fit a batch, of a model that concatenates and has random weights."""
    found = encoded(of, context, seed)
    joint = torch.cat([e.pooled for e in found.values()], dim=1)
    source = torch.Generator().manual_seed(missing.derive(seed, "head"))
    return Outputs(found, joint, joint @ torch.randn(joint.shape[1], context.task.width, generator=source))


def rows(of: Any, index: Tensor) -> Any:
    """Some samples of a batch, of outputs or of encoded modalities."""
    return map_tensors(lambda x: x[index], of)


def poisoned(of: Batch, value: float) -> Batch:
    """The batch with `value` wherever no frame is observed."""
    unseen = {m: ~o.unsqueeze(2) for m, o in of.observed.items()}
    return replace(of, features={m: x.masked_fill(unseen[m], value) for m, x in of.features.items()})


def padded(of: Batch, frames: int) -> Batch:
    """The batch with more padding behind every modality."""
    longer = {m: F.pad(x, (0, 0, 0, frames), value=9.0) for m, x in of.features.items()}
    return replace(of, features=longer, observed={m: F.pad(o, (0, frames)) for m, o in of.observed.items()})


def leaves(of: Any) -> tuple[Any, list[Tensor]]:
    """The same tensors cut from their history, and those of them that take gradients."""
    found: list[Tensor] = []

    def cut(x: Tensor) -> Tensor:
        if not x.is_floating_point():
            return x
        found.append(x.detach().clone().requires_grad_())
        return found[-1]

    return map_tensors(cut, of), found


def tokens(of: Batch, vocabulary: int, seed: int = 0) -> Batch:
    """The batch with a token in place of each frame: id below `vocabulary`, attention mask, segment id 0."""
    source, sentences = torch.Generator().manual_seed(seed), {}
    for m, seen in of.observed.items():
        ids = torch.randint(vocabulary, seen.shape, generator=source)
        sentences[m] = torch.stack([ids, seen.long(), torch.zeros_like(ids)], dim=2).float()
    return replace(of, features=sentences)


def check_encoder(
    component: type[Encoder], config: Any = None, *, dim: int = 8, padding: int = 3, vocabulary: int = 0
) -> None:
    """Hidden frames have no influence, an absent modality is zero, and samples do not influence each other.

    `padding` is the number of padding frames that are tried; 0 for an encoder of fixed lengths.
    `vocabulary` is the number of token ids of an encoder that reads tokens; 0 for one that reads features.
    """
    config = component.Config() if config is None else config
    full = batch(1, samples=6)
    full = tokens(full, vocabulary) if vocabulary else full
    (m,) = full.features
    x, seen = full.features[m], full.observed[m].clone()
    seen[1] = False
    seen[2], seen[2, -1] = False, True
    who, made = component.__name__, context(full, dim=dim, padding=padding)
    torch.manual_seed(0)
    encoder = component(config, made, m).eval()
    out = encoder(x, seen)
    _shapes(who, out, len(seen), dim)
    _require(not out.pooled[1].any(), who, "a sample without any observed frame has `pooled` other than zero")
    _require(not out.observed[1].any(), who, "a sample without any observed frame has observed steps")
    _require(out.present[[0, 2]].all(), who, "a sample with observed frames has no observed step")
    _require(not out.sequence[~out.observed].any(), who, "unobserved steps of `sequence` are not zero")
    for value in (float("nan"), float("inf"), 1e4):
        spoiled = encoder(x.masked_fill(~seen.unsqueeze(2), value), seen)
        _same_encoded(who, f"{value} at hidden frames changes the result", spoiled, out)
    with torch.no_grad():
        _same_encoded(who, "the result is another one without gradients", encoder(x, seen), out)
    other = encoder(torch.cat([(x[..., :1] + 1) % vocabulary, x[..., 1:]], dim=2) if vocabulary else -x, seen)
    _require((other.pooled != out.pooled).any(dim=1)[seen.any(dim=1)].all(), who, "observed frames change nothing")
    if padding:
        longer = padded(replace(full, observed={m: seen}), padding)
        again = encoder(longer.features[m], longer.observed[m])
        _same_encoded(who, "appending padding frames changes the result", again, out)
        _shapes(f"{who} on a single frame", encoder(x[:, :1], seen[:, :1]), len(seen), dim)
    order = torch.tensor([3, 5, 0, 2, 1, 4])
    _same_encoded(who, "the order of samples matters", encoder(x[order], seen[order]), rows(out, order))
    for i in range(len(seen)):
        alone = encoder(x[i : i + 1], seen[i : i + 1])
        _same_encoded(who, f"sample {i} alone differs from itself in a batch", alone, rows(out, torch.tensor([i])))
    leaf = x.masked_fill(~seen.unsqueeze(2), float("nan")).requires_grad_()
    out = encoder.train()(leaf, seen)
    total = sum((t * torch.randn_like(t)).sum() for t in (out.sequence, out.pooled))
    own = [p for p in encoder.parameters() if p.requires_grad]
    to_input, *to_own = torch.autograd.grad(total, [leaf, *own], allow_unused=True)
    if not vocabulary:
        _require(to_input is not None and to_input[seen].any(), who, "observed frames get no gradient")
        _require(to_input.isfinite().all() and not to_input[~seen].any(), who, "hidden frames get a gradient")
    _require(_finite(to_own), who, "a parameter's gradient is not finite when hidden frames are NaN")


def check_fusion(
    component: type[Fusion],
    config: Any = None,
    *,
    counts: Sequence[int] = COUNTS,
    tasks: Sequence[TaskBase] = TASKS,
    encode: Encode = encoded,
    dim: int = 8,
    padding: int = 3,
) -> None:
    """Any modality may be absent, samples do not influence each other, outputs are of the class it gives."""
    config = component.Config() if config is None else config
    for count, task in [(n, tasks[0]) for n in counts] + [(counts[-1], task) for task in tasks[1:]]:
        who = f"{component.__name__} ({count} modalities, task {getattr(task, 'kind', '')})"
        full = batch(count, task=task)
        full = full.hide({m: _only(o, 3) for m, o in full.observed.items()})
        made = context(full, task, dim, padding)
        torch.manual_seed(0)
        fusion = component(config, made).eval()

        def run(of: Batch, fusion: Fusion = fusion, made: Context = made) -> Outputs:
            found: Outputs = fusion(encode(of, made))
            return found

        out = run(full)
        _require(isinstance(out, component.gives), who, f"outputs are not {component.gives.__name__}")
        _require(out.logits.shape == (len(full), task.width), who, f"logits have shape {tuple(out.logits.shape)}")
        _require(out.joint.dim() == 2 and len(out.joint) == len(full), who, "joint is not [batch, width]")
        _require(set(out.encoded) == set(full.observed), who, "encoded lacks a modality")
        _require(_finite([out.joint, out.logits]), who, "outputs are not finite where modalities are absent")
        order = torch.tensor([3, 5, 0, 2, 1, 4])
        _same_outputs(who, "the order of samples matters", run(rows(full, order)), rows(out, order))
        for i in range(len(full)):
            alone, one = run(rows(full, torch.tensor([i]))), rows(out, torch.tensor([i]))
            _same_outputs(who, f"sample {i} alone differs from itself in a batch", alone, one)
        spoiled = run(poisoned(full, float("nan")))
        _same_outputs(who, "NaN at hidden frames changes the result", spoiled, out)
        if padding:
            _same_outputs(who, "appending padding frames changes the result", run(padded(full, padding)), out)
        flipped = replace(full, features={m: -x for m, x in full.features.items()})
        _require((run(flipped).logits != out.logits).any(), who, "the encoded modalities change nothing")
        parts = dict(encode(full, made))
        backwards = fusion({m: parts[m] for m in reversed(parts)})
        _same_outputs(who, "the order of the mapping matters", backwards, out)
        cut, leaf = leaves(parts)
        out = fusion.train()(cut)
        own: list[Tensor] = [p for p in fusion.parameters() if p.requires_grad]
        total = (out.logits * torch.randn_like(out.logits)).sum() + (out.joint * torch.randn_like(out.joint)).sum()
        found = torch.autograd.grad(total, leaf + own, allow_unused=True)
        _require(_finite(found), who, "a gradient is not finite where modalities are absent")


def check_distiller(
    component: type[Distiller],
    config: Any = None,
    *,
    counts: Sequence[int] = COUNTS,
    tasks: Sequence[TaskBase] = TASKS,
    build: Build = outputs,
    dim: int = 8,
    padding: int = 3,
    invariant: bool = True,
) -> None:
    """A finite scalar with a gradient for the student and none for the teacher, in every corner.

    `build` makes outputs of the class that the term reads; `invariant` says that the order of the
    samples does not matter.
    """
    config = component.Config() if config is None else config
    fitting = [task for task in tasks if not (component.responses and isinstance(task, Regression))]
    for count, task in [(n, fitting[0]) for n in counts] + [(counts[-1], task) for task in fitting[1:]]:
        who = f"{component.__name__} ({count} modalities, task {getattr(task, 'kind', '')})"
        full = batch(count, task=task)
        made = context(full, task, dim, padding)
        torch.manual_seed(0)
        term = component(config, made)
        student, teacher = build(full, made, 1), build(full, made, 2)
        value = _check_term(who, term, student, teacher, full)
        spoiled = _check_term(f"{who}, NaN at hidden frames", term, student, teacher, poisoned(full, float("nan")))
        _same(who, "NaN at hidden frames changes the loss", spoiled, value)
        if invariant:
            order = torch.tensor([3, 5, 0, 2, 1, 4])
            moved = _check_term(who, term, *(rows(part, order) for part in (student, teacher, full)))
            _same(who, "the order of samples matters", moved, value)
        first = torch.tensor([0])
        _check_term(f"{who}, batch of one", term, *(rows(part, first) for part in (student, teacher, full)))
        _check_term(f"{who}, student equal to teacher", term, student, student, full)
        same = torch.zeros(len(full), dtype=torch.int64)
        _check_term(f"{who}, all samples equal", term, *(rows(part, same) for part in (student, teacher, full)))
        if isinstance(task, Bins) and task.classes == 2:
            ignored = replace(full, target=torch.zeros(len(full)))
            _check_term(f"{who}, no target has a category", term, student, teacher, ignored)
        if not component.representations:
            unread = map_tensors(lambda x: x * float("nan") if x.is_floating_point() else x, teacher)
            blind = replace(unread, logits=teacher.logits)
            alone = _check_term(f"{who}, teacher with responses only", term, student, blind, full)
            _same(who, "the teacher's representations change the loss", alone, value)
        if not component.targets:
            unlabelled = replace(full, target=torch.zeros_like(full.target))
            without = _check_term(f"{who}, all targets zero", term, student, teacher, unlabelled)
            _same(who, "the targets change the loss, and `targets` is False", without, value)


def check_masker(
    masker: Masker, *, modalities: int | Sequence[Modality] = 3, samples: int = 64, deterministic: bool = False
) -> None:
    """It only hides, and what it hides of a sample depends on the draw and on the sample's key alone.

    A `deterministic` masker hides the same in every epoch.
    """
    who = type(masker).__name__
    full = batch(modalities, samples)
    before = map_tensors(torch.clone, full)
    draw = Draw("conformance", seed=7, epoch=3)
    out = masker(full, draw)
    for m, seen in full.observed.items():
        _require(torch.equal(seen, before.observed[m]), who, f"'{m}': the input batch was changed")
        _require(not (out.observed[m] & ~seen).any(), who, f"'{m}': a frame that was not observed is observed now")
        _require(out.features[m] is full.features[m], who, f"'{m}': features were changed or copied")
    for name in ("target", "index", "key"):
        _require(torch.equal(getattr(out, name), getattr(before, name)), who, f"{name} was changed")
    _same_mask(who, "the same draw hides other frames", masker(full, Draw("conformance", 7, 3)), out)
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(1))
    _same_mask(who, "the order of samples matters", masker(rows(full, order), draw), rows(out, order))
    half = torch.arange(samples // 2)
    _same_mask(who, "the size of the batch matters", masker(rows(full, half), draw), rows(out, half))
    last = torch.tensor([samples - 1])
    _same_mask(who, "a sample alone differs from itself in a batch", masker(rows(full, last), draw), rows(out, last))
    _same_mask(who, "appending padding frames changes the holes", masker(padded(full, 5), draw), padded(out, 5))
    spoiled = masker(poisoned(full, float("nan")), draw)
    _same_mask(who, "the features matter", spoiled, out)
    turned = replace(full, observed={m: full.observed[m] for m in reversed(list(full.observed))})
    _same_mask(who, "the order of the modalities matters", masker(turned, draw), out)
    other = {"epoch": masker(full, Draw("conformance", 7, 4)), "seed": masker(full, Draw("conformance", 8, 3))}
    for name, found in other.items():
        equal = all(torch.equal(found.observed[m], seen) for m, seen in out.observed.items())
        _require(equal == deterministic, who, f"another {name} hides {'the same' if equal else 'other'} frames")


def _check_term(who: str, term: Distiller, student: Outputs, teacher: Outputs, of: Batch) -> Tensor:
    """The loss of one case, after its gradients have been looked at."""
    (own_s, taken), (own_t, given) = leaves(student), leaves(teacher)
    try:
        loss: Tensor = term(own_s, own_t, of)
    except Exception as error:
        raise AssertionError(f"{who}: fails with {type(error).__name__}: {error}") from error
    _require(loss.shape == (), who, f"the loss is no scalar, but has shape {tuple(loss.shape)}")
    _require(loss.isfinite(), who, f"the loss is {loss.item()}")
    _require(loss.requires_grad, who, "the loss has no gradient; return a zero that comes from the student")
    own: list[Tensor] = [p for p in term.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, taken + given + own, allow_unused=True)
    ours, theirs = found[: len(taken)], found[len(taken) : len(taken) + len(given)]
    _require(any(g is not None for g in ours), who, "the student gets no gradient")
    _require(_finite(ours), who, "the student's gradient is not finite")
    _require(not any(g is not None and g.any() for g in theirs), who, "the teacher gets a gradient; detach it")
    _require(_finite(found[len(taken) + len(given) :]), who, "the gradient of a parameter of the term is not finite")
    return loss.detach()


def _require(condition: bool | Tensor, who: str, defect: str) -> None:
    if not condition:
        raise AssertionError(f"{who}: {defect}")


def _finite(values: Sequence[Tensor | None]) -> bool:
    return all(bool(value.isfinite().all()) for value in values if value is not None)


def _only(observed: Bool[Tensor, "batch time"], sample: int) -> Bool[Tensor, "batch time"]:
    """True at every frame of one sample."""
    return (torch.arange(len(observed)) == sample).unsqueeze(1).expand_as(observed)


def _shapes(who: str, out: Encoded, samples: int, dim: int) -> None:
    steps = out.observed.shape[1]
    _require(out.observed.dtype == torch.bool, who, "`observed` is not boolean")
    _require(out.sequence.shape == (samples, steps, dim), who, f"`sequence` has shape {tuple(out.sequence.shape)}")
    _require(out.pooled.shape == (samples, dim), who, f"`pooled` has shape {tuple(out.pooled.shape)}")
    _require(_finite([out.sequence, out.pooled]), who, "the result is not finite")


def _same(who: str, defect: str, found: Float[Tensor, "*shape"], wanted: Float[Tensor, "*shape"]) -> None:
    if not torch.allclose(found, wanted, rtol=1e-4, atol=1e-5):
        raise AssertionError(f"{who}: {defect} (by up to {(found - wanted).abs().max().item():.3g})")


def _same_encoded(who: str, defect: str, found: Encoded, wanted: Encoded) -> None:
    """Compare what stands for observed frames; the number of unobserved steps may differ."""
    counts = found.observed.sum(dim=1), wanted.observed.sum(dim=1)
    _require(torch.equal(*counts), who, f"{defect} (the observed steps)")
    _same(who, f"{defect} (`sequence`)", found.sequence[found.observed], wanted.sequence[wanted.observed])
    _same(who, f"{defect} (`pooled`)", found.pooled, wanted.pooled)


def _same_outputs(who: str, defect: str, found: Outputs, wanted: Outputs) -> None:
    _same(who, f"{defect} (joint)", found.joint, wanted.joint)
    _same(who, f"{defect} (logits)", found.logits, wanted.logits)


def _same_mask(who: str, defect: str, found: Batch, wanted: Batch) -> None:
    for m, seen in wanted.observed.items():
        _require(torch.equal(found.observed[m], seen), who, f"{defect} ('{m}')")
