"""BERT of the package transformers: a fresh one, or one from a folder or the Hugging Face Hub.

Weights are read as safetensors only, and nothing in a folder is executed.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import float32, nn

from mmsa_core.encoders.tokens import Special
from mmsa_core.errors import UserError

FILES = ("config.json", "*.safetensors", "*.safetensors.index.json", "vocab.txt", "tokenizer.json")
"""What is downloaded of a model that a name stands for."""
ATTENTION = "sdpa"
"""torch's own attention, with masks of truth values; what a folder's config.json asks for is not looked at."""
SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]"}


def library() -> Any:
    """The module transformers, which is imported when a BERT is built and not before."""
    try:
        return import_module("transformers")
    except ImportError as error:
        raise UserError(f"encoder 'bert' needs transformers ({error}): pip install 'mmsa-core[text]'") from error


def fresh(**sizes: Any) -> nn.Module:
    """BERT with weights drawn from torch's generator; sizes have the names of transformers' `BertConfig`."""
    config = library().BertConfig(**sizes, attn_implementation=ATTENTION)
    bert: nn.Module = library().BertModel(config, add_pooling_layer=False)
    return bert


def load(folder: Path) -> nn.Module:
    """The BERT of a folder; weights that it lacks are an error, the pooler and heads for other tasks are left out."""
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
        if kind != "bert":
            raise UserError(f"{folder}: its config.json says model_type {kind!r}; encoder 'bert' reads 'bert'")
        with quiet():
            bert, report = library().BertModel.from_pretrained(
                folder,
                add_pooling_layer=False,
                attn_implementation=ATTENTION,
                dtype=float32,
                local_files_only=True,
                output_loading_info=True,
                use_safetensors=True,
            )
    except UserError:
        raise
    except Exception as error:  # a folder can be wrong in any way
        raise UserError(
            f"{folder}: no BERT can be loaded from it ({type(error).__name__}: {error!s:.300}). "
            "It needs config.json and model.safetensors, as transformers' save_pretrained writes them."
        ) from error
    if lacking := sorted(report["missing_keys"]):
        raise UserError(f"{folder}: its weights lack {len(lacking)} of BERT's, such as {lacking[0]}")
    found: nn.Module = bert
    return found


def special(folder: Path) -> Special:
    """The special ids that a folder's vocabulary says; BERT's own where it has none."""
    try:
        if (folder / "vocab.txt").is_file():
            lines = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
            ids = {token.strip(): number for number, token in enumerate(lines)}
        elif (folder / "tokenizer.json").is_file():
            ids = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
        else:
            return Special()
        return Special(**{name: ids[token] for name, token in SPECIAL.items()})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder}: its vocabulary does not say the ids of {', '.join(SPECIAL.values())} "
            f"({type(error).__name__}: {error!s:.200}); write them into the encoder's `special`"
        ) from error


def find(model: str) -> Path:
    """The folder that a path or a name of the Hugging Face Hub stands for; what is on this machine comes first."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1 or "\\" in model:
        raise UserError(f"no folder {folder}, which should hold BERT's config.json and model.safetensors")
    library()
    hub = import_module("huggingface_hub")
    try:
        try:
            folder = Path(hub.snapshot_download(model, allow_patterns=FILES, local_files_only=True))
        except hub.errors.LocalEntryNotFoundError:
            folder = Path()
        if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
            return folder
        return Path(hub.snapshot_download(model, allow_patterns=FILES))
    except Exception as error:  # no network, no such model, no access
        raise UserError(
            f"'{model}' is no folder here ({Path.cwd()}), and cannot be had from the Hugging Face Hub "
            f"({type(error).__name__}: {error!s:.300}). Give a folder with config.json and model.safetensors."
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars and messages; what matters of them is looked at and raised."""
    logging = library().utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
