"""Adaptation of a trained model to a few examples, again and again from the same weights."""

from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset, concatenate_datasets
from transformers import TrainerCallback

from xfer_utils.formats import features
from xfer_utils.learning import encoders, task_model, training
from xfer_utils.scoring import evaluation
from xfer_utils.sources import shots
from xfer_utils.sources.data import Data
from xfer_utils.study.jobs import FewShotJob
from xfer_utils.study.tasks import task


class Mean(TrainerCallback):
    """The mean of a model's weights over the later half of its steps."""

    def __init__(self, model: task_model.TaskModel) -> None:
        self.model, self.sums, self.count = model, {}, 0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if 2 * state.global_step > state.max_steps:
            self.count += 1
            for name, weight in self.model.state_dict().items():
                self.sums[name] = self.sums.get(name, 0) + weight.detach().double()

    def weights(self) -> dict[str, Any]:
        """The mean, as a state of the model."""
        return {name: total / self.count for name, total in self.sums.items()}


class Adapter:
    """The model that phase 3 has left, and what it takes to teach it shots and to score it."""

    def __init__(self, job: FewShotJob, data: Data) -> None:
        self.job, self.data, self.steps = job, data, 0
        self.english = data.rows(job.train_task, "train", most=job.max_examples, clean=True)
        model = task_model.load(job.parent, job.precision)
        if job.tuning == "lora":
            model.encoder = encoders.with_lora(model.encoder, job.lora_rank)
        encoders.freeze(model.encoder, job.freeze)
        self.model = encoders.rounded(model, job.numerics).to(encoders.device())
        self.start = {name: weight.clone() for name, weight in model.state_dict().items()}
        self._tests: dict[tuple[str, str], tuple] = {}

    def learn(self, few: Dataset, number: int, way: str) -> None:
        """Teaches the shots of a bucket to the model as phase 3 left it."""
        job, rows, size = self.job, few, len(few)
        if way == "together":  # as many English examples in a step, new ones in each
            english = shots.bucket(self.english, len(self.english), number, job.train_task)
            places = np.arange(size * job.max_steps)
            parts = (few.select(places % size), english.select(places % len(english)))
            rows, size = concatenate_datasets(list(parts)), 2 * size
        self.model.load_state_dict(self.start, strict=False)
        examples = self.encoded(rows)
        settings = job.model_copy(update={"batch_size": min(size, len(examples))})
        mean = Mean(self.model)
        how = {"seed": job.seed, "callbacks": [mean] if way == "averaged" else []}
        what = (self.model, {job.train_task: examples}, self.data.tokenizer)
        summary = training.train(*what, settings, job.folder, **how)
        self.steps += summary["steps"]
        if way == "averaged":
            self.model.load_state_dict(mean.weights(), strict=False)

    def score(
        self, name: str, code: str, test: Dataset, **factors: Any
    ) -> tuple[list[dict], pd.DataFrame]:
        """Scores and examples of the model as it is; they are no target's own score (`main`)."""
        row, names, pad = task(name), self.data.source.label_names(name), self.data.tokenizer
        if (name, code) not in self._tests:
            by_chance = evaluation.chance(row, test[:], names, code)
            self._tests[name, code] = (test[:], self.encoded(test), by_chance)
        rows, part, by_chance = self._tests[name, code]
        (output,) = evaluation.predict(self.model, self.job.train_task, [part], pad.pad_token_id)
        frame = evaluation.item_frame(row, rows, part, output, names, code)
        split = self.data.split_name(name, self.job.evaluate[name][0])
        parts = [(code, frame, by_chance)]
        scores, table = evaluation.score_languages(row, split, parts, **factors)
        return [{**score, "main": False} for score in scores], table.assign(**factors)

    def encoded(self, rows: Dataset) -> features.Features:
        """Rows as the model reads them."""
        form = task(self.job.train_task).format
        return features.of_examples(form, rows, self.data.tokenizer, **self.job.row_size)
