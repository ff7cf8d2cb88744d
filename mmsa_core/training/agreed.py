"""When several processes save and stop: all at the same step. The first one alone reads and writes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mmsa_core.errors import Interrupted
from mmsa_core.recipes.recipe import Save
from mmsa_core.training.saving import Saver, State
from mmsa_core.training.world import ALONE, World

DUE, STOP = 1, 2


@dataclass
class Agreed(Saver):
    """Keeps the states of a stage that several processes train; the one that is asked to stop stops all."""

    world: World = ALONE
    _stopping: bool = field(init=False, default=False)

    @classmethod
    def silent(cls, stage: str, every: Save, world: World, stop: Callable[[], bool]) -> "Agreed":
        """For a process that does not write."""
        return cls(Path(), stage, every, lambda message: None, stop=stop, world=world)

    def due(self, steps: int) -> bool:
        """Whether the first process is to save, or any of them was asked to stop."""
        own = DUE if self.world.rank == 0 and super().due(steps) else 0
        found = self.world.most(STOP if self.stop() else own)
        self._stopping = found == STOP
        return found > 0

    def save(self, state: State) -> None:
        """Save; training ends here if that was agreed on before."""
        if self.world.rank == 0:
            self.keep(state)
        if self._stopping:
            raise Interrupted

    def load(self) -> State | None:
        """The last state that is whole, of which the first process tells the others."""
        return self.world.told(super().load() if self.world.rank == 0 else None)
