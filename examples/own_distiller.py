# %% [markdown]
# A distiller of one's own, defined in a cell: the cosine distance between the joint representations of student and
# teacher. A distiller is a loss term of (student, teacher, batch) with a typed `Config`; what it may read is in
# `mmsa_core/types.py`.

# %%
import torch.nn.functional as F
from pydantic import PositiveFloat

import mmsa_core
from mmsa_core import Distiller, DistillerConfig, registry


@registry.distillers.register("my.cosine")
class Cosine(Distiller):
    r"""One minus the cosine of the joint representations, to a power.

    .. math:: L = \frac{1}{B} \sum_b (1 - \cos(h_s, h_t))^p
    """

    class Config(DistillerConfig):
        power: PositiveFloat = 1.0
        """The exponent p."""

    def __init__(self, config, context):
        super().__init__(config, context)
        self.power = config.power

    def forward(self, student, teacher, batch):
        distance = 1 - F.cosine_similarity(student.joint, teacher.joint, dim=1)
        return distance.pow(self.power).mean()


# %% [markdown]
# It stands in a recipe by its name from now on. Running the cell again replaces the class.

# %%
run = mmsa_core.train(
    "recipes/kd.yaml",
    out="runs/cosine",
    quiet=True,
    distillers={"cosine": {"name": "my.cosine", "power": 2.0, "weight": 0.5}},
    data__samples=[60, 20, 30],
    train__epochs=2,
    track={},
)
print(run)

# %% [markdown]
# Every step logs the term before and after its weight. `pandas.DataFrame(run.log)` is the whole log.

# %%
losses = [row["loss/cosine"] for row in run.log if "loss/cosine" in row]
print(losses[0], "->", losses[-1])
assert losses[-1] < losses[0]

# %% [markdown]
# The class lives in this notebook alone. The run folder says so: `provenance.json` has where it was defined, and
# loading the run in another process names the class that is missing there. A plugin gives it a home, and so does a
# module: see `docs/python.md`.

# %%
print(run.loaded[0].provenance["registered_by_hand"])
