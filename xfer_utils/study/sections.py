"""The sections of a study file, each validated; defaults are the paper's where it has them.

A default is also a setting's *off value* in a run's identity: what stands at its default is left
out there, so that a new setting changes no id of a finished run. A default that is to change
therefore needs a new `version` of the kinds of job that read it (tests/runs/golden.json).
"""

from typing import Annotated, Any, ClassVar, Literal

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

Count = Annotated[int, Field(ge=0, le=10**9)]
Positive = Annotated[int, Field(ge=1, le=10**9)]
Few = Annotated[int, Field(ge=1, le=10**4)]
Tokens = Annotated[int, Field(ge=16, le=2**17)]
Width = Annotated[int, Field(ge=16, le=2**16)]
Share = Annotated[float, Field(ge=0, lt=1)]
Part = Annotated[float, Field(gt=0, lt=1)]
Role = Literal["dev", "test"]
Numerics = Literal["", "other"]  # other: as if another machine did the rounding


class Section(BaseModel):
    """Base of all sections: unknown keys refused, types not coerced, numbers finite."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Training(Section):
    """How one training is done. Defaults are the paper's, but for `select` (`english_dev`)."""

    learning_rate: Part = 1.0e-5
    epochs: Few = 2
    max_steps: Count = 0
    max_tokens: Count = 0  # about so many, whatever epochs and steps
    more_steps: Count = 0  # beyond what these three say
    batch_size: Few = 32
    accumulation: Few = 1
    max_length: Tokens = 256
    doc_stride: Few = 128
    max_examples: Count = 0
    warmup: Share = 0.1
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.01
    adam_epsilon: Annotated[float, Field(gt=0, le=0.01)] = 1.0e-8
    beta2: Part = 0.999
    max_grad_norm: Annotated[float, Field(ge=0, le=10**6)] = 1.0
    layout: Literal["packed", "padded"] = "packed"
    select: Literal["last", "english_dev"] = "last"
    checkpoints: Annotated[int, Field(ge=0, le=100)] = 0  # kept to compare choices; `last` counts
    eval_steps: Positive = 1000
    patience: Positive = 30
    dev_examples: Positive = 500
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    tuning: Literal["full", "lora"] = "full"
    lora_rank: Few = 16
    freeze: Count = 0  # so many hidden states stay as they are: 1 embeddings, 2 layer 1 too
    activation_checkpointing: bool = False
    checkpoint_minutes: Annotated[float, Field(gt=0, le=10**5)] = 20.0

    @property
    def chooses(self) -> bool:
        """Whether English dev data is needed to choose a checkpoint."""
        return self.select != "last" or self.checkpoints > 0


class Pretraining(Section):
    """A small XLM-R pre-trained from scratch on the source's own text."""

    layers: Annotated[int, Field(ge=1, le=500)] = 3
    width: Width = 96
    heads: Annotated[int, Field(ge=1, le=500)] = 4
    feedforward: Width = 384
    vocabulary: Annotated[int, Field(ge=100, le=2 * 10**6)] = 2000
    positions: Tokens = 128
    steps: Positive = 3000
    batch_size: Few = 64
    learning_rate: Part = 2.0e-3
    max_length: Tokens = 64
    masked: Part = 0.2
    beta2: Part = 0.98
    dropout: Share = 0.0
    dropout_later: Share = 0.1
    lines_per_language: Count = 0
    numerics: Numerics = ""

    @pydantic.model_validator(mode="after")
    def _heads_share_the_width(self) -> "Pretraining":
        if self.width % self.heads:
            raise ValueError(f"`width: {self.width}` cannot be shared among `heads: {self.heads}`")
        return self


class Model(Section):
    """One encoder: loaded from a hub id or a local folder, or pre-trained on the source's text.

    Of what is pre-trained, each seed has an encoder of its own. `shipped: true` takes those that
    come with the package, where it has some that were made in just this way.
    """

    pretrain: Pretraining | None = None
    shipped: bool = True
    load: str | None = None
    revision: str = "main"
    layer: int | None = None
    pooling: Literal["mean", "first", "last", "every"] = "mean"
    head_pooling: Literal["auto", "first", "last", "mean", "max"] = "auto"
    attention: Literal["auto", "causal", "bidirectional"] = "auto"
    intermediate_training: dict[str, Training] = {}
    target_training: dict[str, Training] = {}

    @pydantic.model_validator(mode="after")
    def _one_origin(self) -> "Model":
        if (self.pretrain is None) == (self.load is None):
            origins = "`pretrain:` (train it here) and `load:` (a hub id or folder)"
            raise ValueError(f"needs exactly one of {origins}")
        last = self.pretrain.layers if self.pretrain else 1000
        if self.layer is not None and not 0 <= self.layer <= last:
            raise ValueError(f"`layer: {self.layer}` is not one of its layers, 0 to {last}")
        return self


def _rated(text: Any) -> Any:
    """A bare number is the rate of a Text."""
    return {"rate": text} if isinstance(text, int | float) else text


class Text(Section):
    """Masked language modelling alongside: `rate` rows of text for each row of the tasks.

    All languages with text, or those listed, are drawn by their number of rows to the power of 0.3.
    """

    rate: Annotated[float, Field(ge=0, le=100)] = 0.0
    languages: list[str] = []
    lines_per_language: Count = 0
    batch_size: Few = 32


class Mixture(Section):
    """What phase 2 trains on: one task, or several, each visited in proportion to its size.

    At most `cap` examples of each are visited in an epoch. `transform` makes a control of them:
    with `shuffled` labels, or `sham` ones that a hash of the input decides. Of the `languages`
    other than English, which are translations, a share of the words may be `corrupted`; `items` are
    split among the languages, or are in all of them.
    """

    tasks: list[str] = []
    cap: Positive = 2**17
    transform: Literal["", "shuffled", "sham"] = ""
    languages: Annotated[list[str], Field(min_length=1)] = ["en"]
    items: Literal["split", "all"] = "split"
    corrupted: Share = 0.0
    text: Annotated[Text, BeforeValidator(_rated)] = Text()


class Together(Mixture, Training):
    """What is learnt together with a target's own set, as often as phase 2 would have it learnt.

    Of the settings of phase 2 those count that say what is read, and how often.
    """

    COUNT: ClassVar[frozenset[str]] = frozenset({
        "epochs", "max_steps", "max_tokens", "more_steps", "batch_size", "accumulation",
        "max_length", "doc_stride", "max_examples",
    })  # fmt: skip


class Arm(Mixture):
    """What phase 2 does, as data: a row of the tables. The empty arm is `none`.

    With `together` there is no phase 2: its tasks are learnt with each target's own set, in one
    mixture. `training` are settings of this arm alone, over those of `intermediate_training`;
    `target_training` those of phase 3 in this arm, by its training set. Without `first` a target's
    own earlier task is left out: XTREME-R trains XCOPA on Social IQa before COPA.
    """

    title: str = ""
    steps: Count = 0
    together: bool = False
    first: bool = True
    training: Training = Training()
    target_training: dict[str, Training] = {}

    @property
    def mixture(self) -> dict[str, Any]:
        """The parameters of a job that trains on what this arm does."""
        return self.model_dump(include=set(Mixture.model_fields))

    @property
    def has_phase2(self) -> bool:
        """Whether an encoder of its own leaves phase 2."""
        return bool(self.tasks or self.text.rate) and not self.together

    @pydantic.model_validator(mode="after")
    def _whole(self) -> "Arm":
        if self.together and not self.tasks:
            raise ValueError("`together` with what? An arm without `tasks` has nothing to add")
        if self.text.rate and not (self.tasks or self.steps):
            raise ValueError("text without a task has no end: say how many `steps`")
        return self


class FewShot(Section):
    """After phase 3: so many shots in each target language, several buckets of them for each k.

    `sequential` learns the shots alone, `together` with as many English examples in each batch,
    `english` those of the same bucket in English; `averaged` has the mean weights of the later half
    of `sequential`. `training` are settings over those of phase 3.
    """

    k: Annotated[list[Count], Field(min_length=1)] = [0, 1, 2, 5, 10]
    buckets: Few = 10
    per_class: bool = False
    ways: list[Literal["sequential", "together", "english", "averaged"]] = ["sequential"]
    training: Training = Training()


class Contrast(Section):
    """A comparison that a study declares before it runs: one arm minus another, on one target.

    `others` are all languages but English; `margin`, in points, is that of a test of equivalence.
    """

    name: str
    arm: str
    minus: str = "none"
    target: str
    languages: Literal["others", "en", "all"] = "others"
    test: Literal["difference", "equivalence"] = "difference"
    margin: Annotated[float, Field(ge=0)] = 0.0


class Relation(Section):
    """A primary estimand over languages: how a gain goes with a measure of the languages.

    The gain is the mean over `arms` and `targets`; English is no language of it. The measure is a
    column of the table of languages; with `times`, how its effect changes as that column grows.
    """

    name: str
    arms: Annotated[list[str], Field(min_length=1)]
    minus: str = "none"
    targets: Annotated[list[str], Field(min_length=1)]
    measure: str
    times: str = ""
    test: Literal["permutation within families"] = "permutation within families"


TAGS = ("[contrast]", "[relation]")  # in brackets, as they are no keys of the file


def _shape(declared: Any) -> str:
    """What a line of `primary:` is."""
    keys = declared if isinstance(declared, dict) else getattr(declared, "model_fields_set", ())
    return TAGS["measure" in keys]


Primary = Annotated[
    Annotated[Contrast, Tag(TAGS[0])] | Annotated[Relation, Tag(TAGS[1])],
    Discriminator(_shape),
]


class Seeds(Section):
    """Seeds of phases 2 and 3: `none` (no intermediate task) needs several, to know its noise."""

    none: Annotated[list[Count], Field(min_length=1, max_length=100)] = [0, 1, 2]
    other: Annotated[list[Count], Field(min_length=1, max_length=100)] = [0]

    @pydantic.field_validator("none", "other")
    @classmethod
    def _different(cls, seeds: list[int]) -> list[int]:
        for seed in seeds:
            if seeds.count(seed) > 1:
                raise ValueError(f"seed {seed} is listed twice")
        return seeds
