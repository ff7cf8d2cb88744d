"""Checkpoints of DMD's public code (https://github.com/mdswyz/DMD) as runs: what `mmsa import dmd` reads."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmsa_core import assemble
from mmsa_core.attention.heads import fitting
from mmsa_core.errors import UserError
from mmsa_core.recipes import recipe_file
from mmsa_core.run_folder.importing import Imported
from mmsa_core.types import Modality
from mmsa_dmd import names
from mmsa_dmd.names import MODALITIES, Place

BERT, POOLER = "text_model.model.", "text_model.model.pooler."
BUFFERS = (".version", "._float_tensor", ".position_ids")
"""Ends of names that carry no meaning."""
HEAD_WIDTH = 64
"""Of every BERT that Google published."""
FUSION_HEADS, BERT_HEADS = "model.fusion.heads", "model.encoders.text.architecture.heads"
NEEDED = {f"proj_{m}.weight": "[d, channels, kernel]" for m in MODALITIES}
NEEDED |= {f"proj1_{m}_low.weight": "[d, steps * d]" for m in MODALITIES}
NEEDED |= {"trans_l_with_a.layers.0.fc1.weight": "[4 * d, d]"}
NEEDED_OF_BERT = {
    f"{BERT}embeddings.word_embeddings.weight": "[vocabulary, hidden]",
    f"{BERT}encoder.layer.0.intermediate.dense.weight": "[intermediate, hidden]",
}
TRAIN = {
    "epochs": 200,
    "batch_size": 16,
    "accumulate": 10,
    "lr": 1e-4,
    "clip_value": 0.6,
    "schedule": "plateau",
    "plateau_factor": 0.5,
    "plateau_patience": 5,
    "patience": 10,
}
"""As in recipes/dmd-mosi.yaml."""


@dataclass(frozen=True)
class Published:
    """What the public code takes for one corpus, and weights do not say."""

    corpus: str
    heads: int
    text_dropout: float
    attention_dropout: dict[Modality, float]
    embedding_dropout: float


PUBLISHED = {
    50: Published("MOSI", 10, 0.5, {"text": 0.3, "audio": 0.2, "vision": 0.0}, 0.2),
    30: Published("MOSEI", 6, 0.3, {"text": 0.4, "audio": 0.0, "vision": 0.0}, 0.0),
}
"""By the model's width."""


@dataclass(frozen=True)
class Sizes:
    """What the shapes say; modalities by their published letters."""

    dim: int
    layers: int
    widths: dict[str, int]
    kernels: dict[str, int]
    steps: dict[str, int]
    """Behind the projections."""
    bert: dict[str, int] | None
    """The architecture without the number of heads."""

    @property
    def skipped(self) -> tuple[str, ...]:
        """Modalities whose features have the model's width, which the code does not project."""
        return tuple(m for m in MODALITIES if self.widths[m] == self.dim)

    def channels(self) -> dict[Modality, int]:
        """Width of what the encoders read: of a token 3."""
        return {name: 3 if self.bert and m == "l" else self.widths[m] for m, name in MODALITIES.items()}

    def lengths(self) -> dict[Modality, int]:
        """Frames before the projections."""
        lost = {m: 0 if m in self.skipped else kernel - 1 for m, kernel in self.kernels.items()}
        return {name: self.steps[m] + lost[m] for m, name in MODALITIES.items()}


def read(tensors: dict[str, Tensor], overrides: Sequence[str]) -> Imported:
    """The network of a checkpoint of DMD's public code (https://github.com/mdswyz/DMD): `pt/dmd.pth` of its training.

    That is a state dict of its class DMD, with or without BERT. Width, layers, kernels and lengths are
    read from it. The number of heads is not in it: for the published widths 50 and 30 it is the published one,
    for another one it is given with --set model.fusion.heads=N. Data are given when they are needed:
    `mmsa predict RUN FILE`, or `mmsa evaluate RUN --set data.path=FILE`.
    """
    found = _plain(tensors)
    sizes = _sizes(found)
    recipe = _recipe(sizes)
    places, ours = _network(sizes, recipe)
    _check_tensors(found, sizes, names.to_published(iter(places), ours))
    changed = dict(recipe)
    for override in overrides:
        recipe_file.apply(changed, override, {})
    _check_overrides(changed, sizes)
    empty = {name: torch.empty_like(x, device="cpu") for name, x in ours.items()}
    state = names.to_ours(iter(places), found, empty)
    notes = tuple(_notes(sizes, found, changed))
    return Imported(recipe, state, sizes.channels(), sizes.lengths(), notes)


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that mean something, without the prefix of `DataParallel`."""
    parallel = "module." if all(name.startswith("module.") for name in tensors) else ""
    return {name.removeprefix(parallel): x for name, x in tensors.items() if not name.endswith(BUFFERS)}


def _sizes(found: Mapping[str, Tensor]) -> Sizes:
    has_bert = any(name.startswith(BERT) for name in found)
    _check_needed(found, NEEDED | (NEEDED_OF_BERT if has_bert else {}))
    projections = {m: found[f"proj_{m}.weight"].shape for m in MODALITIES}
    dim = projections["l"][0]
    bert = _architecture(found) if has_bert else None
    widths = {m: bert["hidden"] if bert and m == "l" else shape[1] for m, shape in projections.items()}
    return Sizes(
        dim=dim,
        layers=_count(found, "trans_l_with_a.layers."),
        widths=widths,
        kernels={m: shape[2] for m, shape in projections.items()},
        steps={m: max(1, found[f"proj1_{m}_low.weight"].shape[1] // dim) for m in MODALITIES},
        bert=bert,
    )


def _architecture(found: Mapping[str, Tensor]) -> dict[str, int]:
    words, inner = (found[name].shape for name in NEEDED_OF_BERT)
    layers = _count(found, f"{BERT}encoder.layer.")
    return {"hidden": words[1], "layers": layers, "intermediate": inner[0], "vocabulary": words[0]}


def _count(found: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbers follow a prefix."""
    matches = (re.match(rf"{re.escape(prefix)}(\d+)\.", name) for name in found)
    return len({match[1] for match in matches if match})


def _recipe(sizes: Sizes) -> dict[str, Any]:
    """The published recipe of these sizes; without a number of heads where neither shapes nor widths tell it."""
    known = PUBLISHED.get(sizes.dim)
    encoders: dict[str, Any] = {
        name: {"name": "dmd.encoder", "kernel": sizes.kernels[m]} for m, name in MODALITIES.items()
    }
    fusion: dict[str, Any] = {"name": "dmd.decoupled", "variant": "published", "reading": "flatten"}
    fusion["layers"] = sizes.layers
    if known:
        encoders["text"]["dropout"] = known.text_dropout
        fusion |= {"heads": known.heads, "attention_dropout": known.attention_dropout}
        fusion |= {"embedding_dropout": known.embedding_dropout, "output_dropout": 0.5}
    data: dict[str, Any] = {"name": "mmsa-pickle", "path": "DATA-PATH-TO-BE-GIVEN", "normalize": "none"}
    if sizes.bert:
        heads, rest = divmod(sizes.bert["hidden"], HEAD_WIDTH)
        architecture = sizes.bert if rest else sizes.bert | {"heads": heads}
        encoders["text"] = {"name": "bert", "architecture": architecture, "padding": "states", "then": encoders["text"]}
        data |= {"tokens": True}
    return {
        "name": f"dmd-{known.corpus.lower()}" if known else "dmd",
        "seeds": [1111],
        "data": data,
        "task": {"kind": "regression"},
        "model": {"dim": sizes.dim, "encoders": encoders, "fusion": fusion},
        "train": TRAIN,
    }


def _network(sizes: Sizes, recipe: Mapping[str, Any]) -> tuple[list[Place], dict[str, Tensor]]:
    """Where each published tensor is in ours, and ours as shapes alone."""
    unsaid = [f"{FUSION_HEADS}=1"]  # no shape depends on it
    if sizes.bert:
        unsaid += [f"{BERT_HEADS}=1", "model.encoders.text.special={pad: 0, unk: 0, cls: 0, sep: 0}"]
    built = recipe_file.build(recipe, unsaid, "the recipe of importer 'dmd'")
    with torch.device("meta"):
        model = assemble.model(built.model, built.task, sizes.channels(), sizes.lengths(), seed=0)
    ours = {name: x for name, x in model.state_dict().items() if not name.startswith("standardize.")}
    text = "encoders.text.then" if sizes.bert else "encoders.text"
    unused = {f"proj_{m}.weight" for m in sizes.skipped}
    network = names.network(sizes.layers, sizes.dim, sizes.steps, text)
    return [place for place in network if place.published not in unused] + list(_bert(ours)), ours


def _bert(ours: Mapping[str, Tensor]) -> Iterator[Place]:
    """BERT's tensors have the same names here."""
    prefix = "encoders.text.bert."
    for name in ours:
        if name.startswith(prefix):
            yield Place(BERT + name.removeprefix(prefix), name)


def _check_needed(found: Mapping[str, Tensor], needed: Mapping[str, str]) -> None:
    """Refuse a checkpoint without the tensors whose shapes tell the sizes."""
    shapes = {name: list(found[name].shape) if name in found else None for name in needed}
    defects = [
        _defect(name, shape, needed[name])
        for name, shape in shapes.items()
        if shape is None or len(shape) != needed[name].count(",") + 1 or 0 in shape
    ]
    if defects:
        raise UserError("\n".join(["no state dict of the public code's class DMD:", *defects]))


def _check_tensors(found: Mapping[str, Tensor], sizes: Sizes, placed: Mapping[str, Tensor]) -> None:
    """Refuse a checkpoint with other tensors than `placed` and those that are not read."""
    wanted = {name: list(x.shape) for name, x in placed.items()}
    wanted |= {f"proj_{m}.weight": [sizes.dim, sizes.dim, sizes.kernels[m]] for m in sizes.skipped}
    has = {name: list(x.shape) for name, x in found.items() if not name.startswith(POOLER)}
    every = dict.fromkeys([*wanted, *has])
    defects = [_defect(n, has.get(n), wanted.get(n)) for n in every if has.get(n) != wanted.get(n)]
    if defects:
        raise UserError("\n".join(["the tensors are not those of the public code's class DMD:", *defects]))


def _defect(name: str, found: list[int] | None, expected: list[int] | str | None) -> str:
    kind = "missing" if found is None else "unexpected" if expected is None else "different"
    shapes = ("none" if shape is None else shape for shape in (found, expected))
    return "{}: {}, found {}, expected {}".format(kind, name, *shapes)


def _check_overrides(changed: Mapping[str, Any], sizes: Sizes) -> None:
    """Refuse a recipe, as the overrides changed it, that lacks a number of heads or reads in another order."""
    if _at(changed, FUSION_HEADS) is None:
        widths = " and ".join(f"{width} ({known.heads})" for width, known in PUBLISHED.items())
        raise UserError(
            f"a checkpoint does not say its number of attention heads; it is known for the published widths {widths}, "
            f"and this one has {sizes.dim}. Add --set {FUSION_HEADS}=N, one of {fitting(sizes.dim)}"
        )
    if sizes.bert and _at(changed, BERT_HEADS) is None:
        hidden = sizes.bert["hidden"]
        raise UserError(
            f"a checkpoint does not say BERT's number of heads; Google's are {HEAD_WIDTH} wide, which does not divide "
            f"its width {hidden}. Add --set {BERT_HEADS}=N, one of {fitting(hidden)}"
        )
    encoders = _at(changed, "model.encoders")
    if isinstance(encoders, dict) and list(encoders) != list(MODALITIES.values()):
        raise UserError(
            f"model.encoders: the weights are stacked in the order {', '.join(MODALITIES.values())}, found "
            f"{', '.join(encoders)}; override single fields, such as model.encoders.audio.dropout"
        )


def _notes(sizes: Sizes, found: Mapping[str, Tensor], changed: Mapping[str, Any]) -> Iterator[str]:
    """What weights do not tell, what is left out, and where the run differs from the public code."""
    known = PUBLISHED.get(sizes.dim)
    if known and _at(changed, FUSION_HEADS) == known.heads:
        yield f"{known.heads} attention heads, as published for width {sizes.dim} ({known.corpus}): weights do not tell"
    rates = f"those published for {known.corpus}" if known else "0"
    yield f"weights tell neither dropout rates (here {rates}) nor distillers (here none); evaluation needs neither"
    for m in sizes.skipped:
        yield f"proj_{m}.weight is not read, as in the public code: {MODALITIES[m]} is as wide as the model"
    if any(name.startswith(POOLER) for name in found):
        yield "BERT's pooler is left out: DMD does not read it"
    if sizes.bert:
        heads = _at(changed, BERT_HEADS)
        yield f"BERT's heads number {heads} (if not given, each is {HEAD_WIDTH} wide, as Google's): weights do not tell"


def _at(data: Any, key: str) -> Any:
    """What stands under a dotted key, if anything does."""
    for part in key.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data
