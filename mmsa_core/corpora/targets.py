"""Which of a corpus' targets a task learns from: by name, never by place."""

from collections.abc import Mapping
from dataclasses import replace

from mmsa_core import registry
from mmsa_core.corpora.corpus import LABELS, Split
from mmsa_core.errors import UserError
from mmsa_core.tasks import TaskBase


def chosen(split: Split, names: Mapping[str, tuple[str, ...]], task: TaskBase, where: str) -> Split:
    """The split whose `score`, `label` or `labels` is what the task asks for.

    `task.source` takes another target of the same kind; where the data name their binary labels, `task.names` picks
    and orders them.
    """
    source = getattr(task, "source", None)
    if source is not None:
        if source not in split.targets or source.split("/")[0] != task.needs:
            known = [name for name in split.targets if name.split("/")[0] == task.needs]
            raise UserError(
                f"{where}: task.source names '{source}', but the targets of this kind are "
                f"{', '.join(known) or 'none'}.{registry.suggestions(source, known)}"
            )
        split = replace(split, targets={**split.targets, task.needs: split.targets[source]})
    wanted, there = getattr(task, "names", ()), names.get(LABELS, ())
    if task.needs == LABELS and LABELS in split.targets and there:
        unknown = [name for name in wanted if name not in there]
        if unknown:
            raise UserError(
                f"{where}: task.names has {', '.join(unknown)}, but the data's binary labels are {', '.join(there)}."
                f"{registry.suggestions(unknown[0], list(there))}"
            )
        columns = [there.index(name) for name in wanted]
        split = replace(split, targets={**split.targets, LABELS: split.targets[LABELS][:, columns]})
    return split
