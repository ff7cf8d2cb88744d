"""DMD's public code (github.com/mdswyz/DMD), imported from a checkout and run on the CPU: what `dmd.py` compares with.

Nothing of it is copied here, and its files stay as they are. In memory, what would not run is changed:

- `.cuda()` leaves a tensor where it is;
- packages that are imported for other uses are stood in for, and so is tqdm, which then shows nothing;
- the schedule, whose constructor has an argument that torch no longer knows, is never reached and does nothing;
- orthogonality is taken frame by frame: torch refuses the published call on three dimensions;
- Adam is kept from call to call of the training loop, which is left when it begins to validate.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from mmsa_dmd.encoder import DmdEncoder
from mmsa_dmd.fusion import DecoupledFusion
from torch import Tensor

from mmsa_core.corpora.data import Data
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.types import Batch

LOOP, NETWORK, SOFTMAX = "trains.singleTask.DMD", "trains.singleTask.model.dmd", "trains.singleTask.misc"
HOMOGENEOUS = "trains.singleTask.distillnets.get_distillation_kernel_homo"
HETEROGENEOUS = "trains.singleTask.distillnets.get_distillation_kernel"
STAND_INS: dict[str, dict[str, Any]] = {
    "transformers": dict.fromkeys(("BertModel", "BertTokenizer", "RobertaModel", "RobertaTokenizer")),
    "pynvml": {},
    "tqdm": {"tqdm": nullcontext},
}
MODALITIES = {"l": "text", "a": "audio", "v": "vision"}
"""Its letters for ours, in the order of its feature widths."""


def check(path: Path) -> None:
    """Leave the program where `path` is no checkout."""
    for name in (LOOP, NETWORK, SOFTMAX, HOMOGENEOUS, HETEROGENEOUS):
        file = Path(*name.split(".")).with_suffix(".py")
        if not (path / file).is_file():
            raise SystemExit(f"--peer {path}: no checkout of github.com/mdswyz/DMD, {file} is missing")


class Published:
    """Network, graphs and training loop of a checkout, as large as a recipe's on some data."""

    def __init__(self, path: Path, recipe: Recipe, data: Data) -> None:
        mock.patch.object(Tensor, "cuda", lambda self: self).start()
        with imported_from(path):
            loop, network, softmax, homogeneous, heterogeneous = (
                import_module(name) for name in (LOOP, NETWORK, SOFTMAX, HOMOGENEOUS, HETEROGENEOUS)
            )
        chosen = arguments(recipe, data)
        lengths = {f"len_{letter}": data.lengths[m] for letter, m in MODALITIES.items()}
        torch.manual_seed(recipe.seeds[0])
        dim, kinds = recipe.model.dim, (homogeneous, heterogeneous)
        sizes, priors = ((dim, 64), (2 * dim, 32)), ([0, 0, 1, 0, 1, 0], [0, 0, 1, 0, 1, 1])  # as its run.py
        graphs = [
            kind.DistillationKernel(
                n_classes=1,
                hidden_size=wide,
                gd_size=hidden,
                to_idx=[0, 1, 2],
                from_idx=[0, 1, 2],
                gd_prior=softmax.softmax(prior, 0.25),
                gd_reg=10,
                w_losses=[1, 10],
                metric="l1",
                alpha=1 / 8,
                hyp_params=chosen,
            )
            for kind, (wide, hidden), prior in zip(kinds, sizes, priors, strict=True)
        ]
        self.modules = [type("Network", (network.DMD,), lengths)(chosen), *graphs]
        parameters = [parameter for module in self.modules for parameter in module.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=recipe.train.lr)
        with_changes: Any = loop
        with_changes.optim = SimpleNamespace(Adam=lambda *_, **__: optimizer)
        with_changes.ReduceLROnPlateau = lambda *_, **__: None
        self.trainer = loop.DMD(chosen)
        self.trainer.cosine = framewise
        self.trainer.metrics = lambda *_: {}
        self.trainer.do_test = leave

    def reads(self, batch: Batch) -> dict[str, Any]:
        """A batch as its loader gives it."""
        return {**batch.features, "labels": {"M": batch.target}}

    def train(self, batches: Sequence[dict[str, Any]]) -> None:
        """Its own loop over the batches."""
        with suppress(Left):
            self.trainer.do_train(self.modules, {"train": batches, "valid": []})

    def evaluate(self, batches: Sequence[dict[str, Any]]) -> None:
        """Its network's predictions."""
        network = self.modules[0].eval()
        with torch.no_grad():
            for batch in batches:
                network(batch["text"], batch["audio"], batch["vision"], is_distill=True)


class Left(Exception):
    """The training loop has come to its first validation."""


def leave(*_: Any, **__: Any) -> None:
    """Instead of its validation."""
    raise Left


def framewise(s: Tensor, c: Tensor, _: Tensor) -> Tensor:
    """Mean positive part of the cosine of two sequences' frames [time, batch, dim]."""
    return F.cosine_similarity(s, c, dim=2).clamp(min=0).mean()


def arguments(recipe: Recipe, data: Data) -> SimpleNamespace:
    """The recipe in the words of its configuration."""
    fusion, text = recipe.model.fusion, recipe.model.encoders["text"]
    assert isinstance(fusion, DecoupledFusion.Config)
    assert isinstance(text, DmdEncoder.Config)
    kernels = {f"conv1d_kernel_size_{letter}": text.kernel for letter in MODALITIES}
    return SimpleNamespace(
        train_mode="regression",
        dataset_name="MOSI",  # for 'mosi' the network would fix the lengths itself
        device="cpu",
        model_name="dmd",
        cur_seed=1,
        use_bert=False,
        feature_dims=[data.channels[m] for m in MODALITIES.values()],
        dst_feature_dim_nheads=[recipe.model.dim, fusion.heads],
        nlevels=fusion.layers,
        attn_mask=fusion.causal,
        attn_dropout=fusion.rate("text"),
        attn_dropout_a=fusion.rate("audio"),
        attn_dropout_v=fusion.rate("vision"),
        relu_dropout=fusion.inner_dropout,
        embed_dropout=fusion.embedding_dropout,
        res_dropout=fusion.residual_dropout,
        output_dropout=fusion.output_dropout,
        text_dropout=text.dropout,
        learning_rate=recipe.train.lr,
        grad_clip=recipe.train.clip_value,
        patience=recipe.train.plateau_patience,
        KeyEval="Loss",
        update_epochs=recipe.train.accumulate,
        **kernels,
    )


@contextmanager
def imported_from(path: Path) -> Iterator[None]:
    """Inside, modules come from a checkout, in which no bytecode is left."""
    before = {name: sys.modules.pop(name, None) for name in STAND_INS}
    for name, content in STAND_INS.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(content)
    try:
        with mock.patch.multiple(sys, path=[str(path), *sys.path], dont_write_bytecode=True):
            yield
    finally:
        for name, module in before.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module
