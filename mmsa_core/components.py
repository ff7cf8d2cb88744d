"""The base classes that core's and plugins' components extend."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from jaxtyping import Bool, Float
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat
from torch import Tensor, nn

from mmsa_core.closed import Closed
from mmsa_core.corpora.corpus import Corpus, Split
from mmsa_core.example import Exemplified
from mmsa_core.missing import Draw
from mmsa_core.tasks import Task
from mmsa_core.types import Batch, Encoded, Modality, Outputs


class ComponentConfig(Closed):
    """Hyperparameters of one component."""

    name: str = ""
    """Which component: a name that `mmsa list` shows."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a component learns from the recipe and the data when it is built.

    `channels` and `lengths` are the feature width and the longest sequence of each modality that
    the model reads, in the recipe's order; `dim` is the model's width. To a fusion, `lengths` are those of
    the encoded sequences.
    """

    channels: Mapping[Modality, int]
    lengths: Mapping[Modality, int]
    dim: int
    task: Task


class Encoder(nn.Module, Exemplified, ABC):
    """Turns the frames of one modality into a representation.

    Features of frames that are not observed must not influence the result, and a sample without
    any observed frame gets `pooled` zero.
    """

    Config: ClassVar[type[ComponentConfig]] = ComponentConfig
    raw: ClassVar[bool] = False
    """Whether features must reach it as they are: they are numbers that mean something else than an amount, such as
    token ids, and are not standardised."""
    fixed_length: bool = False
    """Whether the result for a sample depends on how far it is padded, as in some published codes; batches are then
    padded to the longest sequence of the data, not of the batch."""

    def __init__(self, config: Any, context: Context, modality: Modality) -> None:
        super().__init__()

    def length(self, time: int) -> int:
        """Steps of `sequence` for so many frames."""
        return time

    def own_rates(self) -> Sequence[tuple[nn.Module, float]]:
        """Submodules that learn at a rate of their own, with that rate."""
        return ()

    @abstractmethod
    def forward(
        self, features: Float[Tensor, "batch time channels"], observed: Bool[Tensor, "batch time"]
    ) -> Encoded: ...


class Fusion(nn.Module, Exemplified, ABC):
    """Joins the encoded modalities and predicts; `gives` is the class of outputs that it returns."""

    Config: ClassVar[type[ComponentConfig]] = ComponentConfig
    gives: ClassVar[type[Outputs]] = Outputs
    fixed_length: bool = False
    """Whether the result for a sample depends on how far it is padded (see `Encoder`)."""
    mixed: ClassVar[bool] = True
    """Whether it may compute in 16 bits where a recipe asks for mixed precision; else it computes in float32."""

    def __init__(self, config: Any, context: Context) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, encoded: Mapping[Modality, Encoded]) -> Outputs: ...


Decay = Annotated[float, Field(ge=0, lt=1)]


class OptimizerConfig(Closed):
    """How parameters are updated."""

    algorithm: Literal["adam", "adamw", "sgd"] = "adam"
    lr: PositiveFloat = 1e-3
    """Learning rate."""
    weight_decay: NonNegativeFloat = 0.0
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay rates of Adam's moment estimates; sgd does not use them."""
    momentum: NonNegativeFloat = 0.0
    """Momentum of sgd; adam does not use it."""


class DistillerConfig(ComponentConfig):
    """What every loss term has."""

    weight: NonNegativeFloat = 1.0
    """Factor of this term in the objective."""
    optimizer: OptimizerConfig | None = None
    """How the term's own parameters are trained; by default as the student's."""


class Distiller(nn.Module, Exemplified, ABC):
    """A training-time loss term of (student, teacher, batch); dropped at inference.

    It may own parameters, which are trained to minimise the term: as the student's, or by an optimiser of their own.

    It sees the whole batch, also where several processes share it: outputs are gathered, each process computes the
    term, and all must come to the same. So its arguments and torch's seed decide, and it keeps nothing between calls.
    """

    Config: ClassVar[type[DistillerConfig]] = DistillerConfig
    reads: ClassVar[type[Outputs]] = Outputs
    """The class of outputs that the term needs from the student's fusion."""
    needs_teacher: ClassVar[bool] = True
    """Whether it compares the student with a teacher; False for terms of the student alone."""
    representations: ClassVar[bool] = True
    """Whether it reads the teacher's representations; an ensemble of teachers has responses only."""
    responses: ClassVar[bool] = False
    """Whether it reads class responses; a regression task has none."""
    targets: ClassVar[bool] = False
    """Whether it reads the batch's targets; task none has none."""

    def __init__(self, config: Any, context: Context) -> None:
        super().__init__()
        self.observations: dict[str, Tensor] = {}

    @abstractmethod
    def forward(self, student: Any, teacher: Any, batch: Batch) -> Float[Tensor, ""]:
        """The term for one batch; `batch` is what the student saw, with its targets.

        The teacher's sequences may be padded further than the student's.
        """

    def observe(self, **values: Float[Tensor, ""]) -> None:
        """Keep detached scalars of this forward for the log (`distiller.NAME.value`)."""
        self.observations = {n: value.detach() if value.requires_grad else value for n, value in values.items()}

    def diagnose(self, means: Mapping[str, float]) -> str | None:
        """A warning for the user from the epoch's mean observations, or None."""
        return None

    def edges(
        self, student: Any, teacher: Any, batch: Batch
    ) -> Mapping[tuple[Modality, Modality], Float[Tensor, " batch"]]:
        """Weight of each (student, teacher) pair of modalities in each sample, for a term that learns who teaches whom.

        An entry is NaN where one of the two is absent.
        """
        return {}


class Masker(Exemplified, ABC):
    """Hides frames or modalities of a batch: a pure function of the draw and the samples' keys.

    It only turns `observed` from True to False; how a hidden frame is filled is the encoder's business.
    """

    Config: ClassVar[type[ComponentConfig]] = ComponentConfig
    changes_features: ClassVar[bool] = False
    """Whether it also changes what frames show, as noise and delay do; then a frame within a sample's observed span may
    come to be observed, though never more frames than before."""
    deterministic: ClassVar[bool] = False
    """Whether it hides the same of a sample whatever the draw."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def prepare(self, train: Split, raw: Collection[Modality] = ()) -> None:
        """Learn what it needs of the training split; called once, before it is used.

        `raw` names the modalities whose features are no amounts (see `Encoder.raw`).
        """

    @abstractmethod
    def __call__(self, batch: Batch, draw: Draw) -> Batch: ...


class DatasetConfig(ComponentConfig):
    """What every data set has, whatever its format."""

    normalize: Literal["standard", "none"] = "standard"
    """`standard`: each feature column is centred and scaled by the observed training frames (a
    constant column becomes zero), so that a hidden frame, which is zero, means "the mean". Tokens stay as they are."""
    nonfinite: Literal["refuse", "zero"] = "refuse"
    """What to do with NaN and infinite features: refuse the file, or set them to zero. Targets are always refused."""
    score_range: tuple[float, float] | None = None
    """Lowest and highest possible score in the file; scores are mapped linearly onto the task's range."""
    bucket: NonNegativeInt = 0
    """So many batches at a time are dealt anew, each with samples of similar lengths: less padding, in an order that is
    less random. 0 leaves the order alone."""
    workers: NonNegativeInt = 0
    """Threads that make training batches ahead of their use; 0 is fast enough unless the frames are on a slow disk."""


class Dataset(Exemplified, ABC):
    """Reads or makes a corpus."""

    Config: ClassVar[type[DatasetConfig]] = DatasetConfig

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def load(self) -> Corpus:
        """The corpus; bad input raises `UserError`."""

    @staticmethod
    def from_arrays(
        features: Mapping[Modality, Any], splits: Sequence[str], targets: Mapping[str, Any], **more: Any
    ) -> Corpus:
        """A corpus of arrays in memory, for a notebook; see `mmsa_core.datasets.arrays.from_arrays`."""
        from mmsa_core.datasets.arrays import from_arrays

        return from_arrays(features, splits, targets, **more)
