"""Writing a student as ONNX (for onnxruntime and others) or as pt2 (torch.export's archive)."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mmsa_core.errors import UserError
from mmsa_core.export.student import Student
from mmsa_core.recording import recorded
from mmsa_core.types import Modality

Format = Literal["onnx", "pt2"]
KEY = "mmsa"
"""Under which the description stands in a file."""
BATCH, TIME = 3, 5
"""Samples and least frames of the example that a graph is recorded with; any other numbers work as well."""
LOGGERS = ("torch.onnx", "torch.onnx._internal.exporter._registration", "onnxscript", "onnx_ir")


def check_installed(form: Format) -> None:
    """Refuse ONNX where what it needs is not installed."""
    for name in ("onnx", "onnxscript", "onnxruntime") if form == "onnx" else ():
        try:
            import_module(name)
        except ImportError as error:
            raise UserError(f"--format onnx needs {name} ({error}): pip install 'mmsa-core[export]'") from error


def record(network: nn.Module, channels: Mapping[Modality, int], lengths: Mapping[Modality, int]) -> ExportedProgram:
    """The graph of a network on features and masks, for any number of samples and of frames (up to `lengths`)."""
    times = {m: _example(lengths.get(m), TIME + 2 * n) for n, m in enumerate(channels)}
    features = {m: torch.zeros(BATCH, times[m], width) for m, width in channels.items()}
    observed = {m: torch.ones(BATCH, times[m], dtype=torch.bool) for m in channels}
    batch = Dim("batch")
    open_ = {m: {0: batch} | _time(m, lengths.get(m)) for m in channels}
    with _recordable(), recorded(), torch.no_grad():
        return torch.export.export(network, (features, observed), dynamic_shapes=(open_, open_), strict=False)


def write(
    form: Format, program: ExportedProgram, student: Student | None, about: Mapping[str, Any], path: Path
) -> None:
    """The graph and its description, as a file; inputs and outputs have names where it is a whole student's."""
    text = json.dumps(about, ensure_ascii=False)
    if form == "pt2":
        with path.open("wb") as file:
            torch.export.save(program, file, extra_files={KEY: text})
        return
    with _recordable():
        # not optimised: that takes minutes for DMD, and onnxruntime does it when it reads the file
        made = torch.onnx.export(
            program,
            dynamo=True,
            optimize=False,
            verbose=False,
            input_names=student.inputs if student else None,
            output_names=student.outputs if student else None,
        )
    assert made is not None
    made.model.metadata_props[KEY] = text
    made.model.doc_string = "A student of mmsa; metadata_props['mmsa'] describes it."
    made.save(path)


def _example(longest: int | None, time: int) -> int:
    return time if longest is None else min(longest, time)


def _time(modality: Modality, longest: int | None) -> dict[int, Any]:
    """The axis of the frames; one frame at most is a number, not a range."""
    if longest is not None and longest < 2:
        return {}
    return {1: Dim(f"{modality}_time") if longest is None else Dim(f"{modality}_time", max=longest)}


@contextmanager
def _recordable() -> Iterator[None]:
    """Without torch's fused Transformer layer, which is no operation of an exported graph, and without chatter."""
    fused = torch.backends.mha.get_fastpath_enabled()
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    torch.backends.mha.set_fastpath_enabled(False)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


class Part(nn.Module):
    """One encoder of a student, to find out which component cannot be recorded."""

    def __init__(self, student: Student, modality: Modality) -> None:
        super().__init__()
        self.model, self.modality = student.model, modality

    def forward(self, features: Mapping[Modality, Tensor], observed: Mapping[Modality, Tensor]) -> tuple[Tensor, ...]:
        found = self.model.encode(self.modality, features[self.modality], observed[self.modality])
        return found.sequence, found.pooled
