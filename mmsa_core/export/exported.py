"""An exported student, read back: arrays in, arrays out."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmsa_core.errors import UserError
from mmsa_core.export.formats import KEY, Format, check_installed
from mmsa_core.types import Modality

Array = np.ndarray[Any, Any]
Runner = Callable[[Mapping[Modality, Array], Mapping[Modality, Array]], list[Array]]
FORMAT = "mmsa-export-1"


class Exported:
    """A student from a file that `mmsa export` wrote; `about` is the description in it."""

    def __init__(self, path: Path, about: Mapping[str, Any], run: Runner) -> None:
        self.path, self.about, self._run = path, about, run

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What it reads."""
        return tuple(self.about["modalities"])

    def __repr__(self) -> str:
        reads = ", ".join(f"{m} {each['width']} wide" for m, each in self.about["modalities"].items())
        return f"<Exported {self.path.name}: {self.about['run']['name']}, reads {reads}>"

    def __call__(self, features: Mapping[Modality, Array], observed: Mapping[Modality, Array]) -> dict[str, Array]:
        """The outputs by name, for features [batch, frames, width] and masks [batch, frames] of every modality.

        A modality that is not given is missing in every sample.

        Raises:
            UserError: for names or shapes that are not its own.
        """
        if not features or set(features) != set(observed) or set(features) - set(self.modalities):
            named = " and ".join(", ".join(map(repr, given)) or "nothing" for given in (features, observed))
            raise UserError(
                f"{self.path}: expected features and masks of the same modalities, among "
                f"{', '.join(self.modalities)}; found {named}"
            )
        size = len(next(iter(features.values())))
        x, seen = {}, {}
        for m in self.modalities:
            width = self.about["modalities"][m]["width"]
            x[m] = np.asarray(features.get(m, np.zeros((size, 1, width))), dtype=np.float32)
            seen[m] = np.asarray(observed.get(m, np.zeros(x[m].shape[:2])), dtype=bool)
            if x[m].ndim != 3 or x[m].shape[0] != size or x[m].shape[2] != width or seen[m].shape != x[m].shape[:2]:
                raise UserError(
                    f"{self.path}: '{m}' has features {list(x[m].shape)} and a mask {list(seen[m].shape)}; expected "
                    f"[{size}, frames, {width}] and [{size}, frames]"
                )
        return dict(zip(self.about["outputs"], self._run(x, seen), strict=True))


def load_exported(path: Path | str, trusted: bool = False) -> Exported:
    """Read an ONNX or pt2 file that `mmsa export` wrote; of a pt2 file whoever made it must be `trusted`.

    Raises:
        UserError: for another file.
    """
    path = Path(path)
    form: Format = "pt2" if path.suffix == ".pt2" else "onnx"
    if form == "pt2" and not trusted:
        raise UserError(
            f"{path}: torch runs what whoever wrote a pt2 file put into it; if that was you, or somebody you trust: "
            "load_exported(..., trusted=True). An ONNX file of the same run is read without that"
        )
    return opened(path, form)


def opened(path: Path, form: Format) -> Exported:
    """Read a file of a format, whatever its name; one of pt2 can run code."""
    try:
        text, run = _pt2(path) if form == "pt2" else _onnx(path)
        about = json.loads(text)
    except UserError:
        raise
    except Exception as error:  # the libraries raise what they like of a file that is not theirs
        raise UserError(f"{path}: not a file of mmsa export ({type(error).__name__}: {error!s:.200})") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise UserError(f"{path}: not written by mmsa export (expected a description of format {FORMAT})")
    return Exported(path, about, run)


def _onnx(path: Path) -> tuple[str, Runner]:
    check_installed("onnx")
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4  # errors are raised, and said once
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])

    def run(features: Mapping[Modality, Array], observed: Mapping[Modality, Array]) -> list[Array]:
        named = {**features, **{f"{m}_observed": seen for m, seen in observed.items()}}
        known = {each.name for each in session.get_inputs()}
        found: list[Array] = session.run(None, {name: x for name, x in named.items() if name in known})
        return found

    return session.get_modelmeta().custom_metadata_map.get(KEY, "null"), run


def _pt2(path: Path) -> tuple[str, Runner]:
    kept = {KEY: ""}
    with path.open("rb") as file:
        module = torch.export.load(file, extra_files=kept).module()

    def run(features: Mapping[Modality, Array], observed: Mapping[Modality, Array]) -> list[Array]:
        x, seen = ({m: torch.from_numpy(each) for m, each in given.items()} for given in (features, observed))
        with torch.no_grad():
            return [output.numpy() for output in module(x, seen)]

    return str(kept[KEY] or "null"), run
