"""A small corpus with holes, as a file of each format that is read."""

from pathlib import Path

from mmsa_core import writers
from mmsa_core.datasets.synthetic import Synthetic


def written(reader: str, folder: Path) -> Path:
    """The file or folder, in `folder`."""
    channels, gains = {"text": 5, "audio": 3, "vision": 4}, {"text": 1.0, "audio": 1.0, "vision": 1.0}
    config = Synthetic.Config(samples=(8, 4, 4), length=(2, 5), channels=channels, gains=gains, missing=0.2)
    path = folder / "corpus"
    writers.write(Synthetic(config).load(), reader, path)
    return path
