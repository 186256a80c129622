"""The parameters of each kind of job: what the planner fills in and what a notebook validates.

Papermill injects them flat, one literal a name; a notebook's second cell makes one object of them
(`TargetJob.of(globals())`), so a misspelt or mistyped parameter is refused before anything runs.
A test holds every notebook's parameters cell against these fields.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from xfer_utils.study import paths, sections


class Job(sections.Section):
    """What every job has: where its files go, and where its data comes from."""

    # Where things stand and how often a training is saved cannot change a result.
    UNHASHED: ClassVar[frozenset[str]] = frozenset({"run_dir", "encoder_dir", "checkpoint_minutes"})

    run_dir: str
    source: str
    world: dict[str, Any] = {}
    splits: dict[str, dict[str, str | list[str]]] = {}

    @classmethod
    def of(cls, variables: Mapping[str, Any]) -> "Job":
        """The job whose parameters are variables of a notebook."""
        return cls(**{name: variables[name] for name in cls.model_fields if name in variables})

    @property
    def folder(self) -> Path:
        """The run's folder, made where it is not there yet."""
        folder = paths.resolve(self.run_dir)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def mixture(self) -> sections.Mixture:
        """What an arm says of the training data; most jobs have none of it."""
        return sections.Mixture()

    def identity(self) -> dict[str, Any]:
        """What can change the result: the parameters that are not at their off value."""
        return self.model_dump(mode="json", exclude=self.UNHASHED, exclude_defaults=True)


class EncoderJob(Job, sections.Pretraining):
    """Phase 1: load a published model, or pre-train a small one on the source's text."""

    load: str = ""
    revision: str = "main"
    seed: sections.Count = 0
    head_pooling: Literal["auto", "first", "last", "mean", "max"] = "auto"
    attention: Literal["auto", "causal", "bidirectional"] = "auto"


class Following(sections.Section):
    """Added to a job: it starts from an encoder made by another run."""

    encoder_dir: str

    @property
    def parent(self) -> Path:
        """The folder of the run whose encoder is used."""
        return paths.resolve(self.encoder_dir)


class Trained(sections.Training):
    """Added to a job: it trains on English data, cleaned of what the study evaluates."""

    held_out: dict[str, list[sections.Role]] = {}
    seed: sections.Count = 0
    numerics: sections.Numerics = ""

    @property
    def row_size(self) -> dict[str, int]:
        """How long a row of token ids may be, and how far windows of a long text overlap."""
        return {"max_length": self.max_length, "doc_stride": self.doc_stride}


class IntermediateJob(Job, Following, Trained, sections.Mixture):
    """Phase 2: one intermediate task, or a mixture of several."""

    @property
    def mixture(self) -> sections.Mixture:
        """What this job trains on."""
        return self


class TargetJob(Job, Following, Trained):
    """Phase 3: fine-tune on English, then evaluate zero-shot."""

    train_task: str
    targets: list[str]
    evaluate: dict[str, list[sections.Role]]
    languages: list[str] = []
    max_eval_items: sections.Count = 0
    keep_model: bool = False
    together: sections.Together = sections.Together()

    UNHASHED: ClassVar[frozenset[str]] = Job.UNHASHED | {"keep_model"}

    @property
    def mixture(self) -> sections.Mixture:
        """What is learnt together with the target's own training set."""
        return self.together


class FewShotJob(Job, Following, Trained):
    """After phase 3: a few examples in each target language, drawn several times."""

    train_task: str
    targets: list[str]
    evaluate: dict[str, list[sections.Role]]
    languages: list[str] = []
    max_eval_items: sections.Count = 0
    k: list[sections.Count] = [0, 1, 2, 5, 10]
    buckets: sections.Few = 10
    per_class: bool = False
    ways: list[str] = ["sequential"]


class RetrievalJob(Job, Following):
    """The targets without training: sentence vectors of one layer."""

    targets: list[str]
    evaluate: dict[str, list[sections.Role]]
    languages: list[str] = []
    layer: int = -1
    pooling: Literal["mean", "first", "last", "every"] = "mean"
    max_length: sections.Tokens = 256
    precision: Literal["auto", "fp32", "bf16"] = "auto"


TrainingJob = IntermediateJob | TargetJob | FewShotJob
