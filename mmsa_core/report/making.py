"""What `mmsa report` does: run folders in, a folder with the report out."""

from collections.abc import Sequence
from pathlib import Path

import torch

from mmsa_core.display import Display
from mmsa_core.report import writing
from mmsa_core.report.gathering import Options, gather
from mmsa_core.report.sections import SECTIONS
from mmsa_core.run_folder import new_folder


def report(folders: Sequence[Path], out: Path, options: Options, device: torch.device, display: Display) -> Path:
    """Evaluate every run under every protocol, and write the report; returns the page.

    Raises:
        UserError: for a folder that is no run, runs that cannot stand in one table, or `out` that holds something.
    """
    new_folder.check(out)
    material = gather(folders, options, device, display)
    title = f"Report: {', '.join(run.name for run in material.runs)}"
    sections = [section for make in SECTIONS if (section := make(material)) is not None]
    return writing.write(out, title, sections)
