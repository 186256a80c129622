"""The kinds of job: one record each, which is all that plan, engine, cost and report know of them.

`version` is raised by hand when a change makes a kind's results differ; tests/runs/test_golden.py
says when that is due.
"""

from dataclasses import dataclass

from xfer_utils.study import jobs


@dataclass(frozen=True)
class Kind:
    """One kind of job.

    `keeps` are the folders whose files belong to the record. `evaluated` names the parameter that
    lists targets: from them and what is trained on the identity knows the registry rows.
    """

    name: str
    version: int
    notebook: str
    job: type[jobs.Job]
    phase: str
    title: str
    keeps: tuple[str, ...]
    evaluated: str = ""

    def trains_on(self, job: jobs.Job) -> list[str]:
        """Tasks whose training sets a job reads."""
        return list(filter(None, [getattr(job, "train_task", ""), *job.mixture.tasks]))

    def scores(self, job: jobs.Job) -> list[str]:
        """Targets that a job evaluates."""
        return list(getattr(job, self.evaluated)) if self.evaluated else []


ALL = (
    Kind(
        name="encoder", version=2, notebook="10_encoder.ipynb", job=jobs.EncoderJob,
        phase="phase 1", title="Encoders", keeps=("encoder",),
    ),
    Kind(
        name="intermediate", version=2, notebook="20_intermediate.ipynb", job=jobs.IntermediateJob,
        phase="phase 2", title="Intermediate training", keeps=("encoder", "predictions"),
    ),
    Kind(
        name="target", version=2, notebook="30_target.ipynb", job=jobs.TargetJob,
        phase="phase 3", title="Target training and evaluation",
        keeps=("encoder", "model", "predictions"), evaluated="targets",
    ),
    Kind(
        name="retrieval", version=1, notebook="35_retrieval.ipynb", job=jobs.RetrievalJob,
        phase="phase 3, no training", title="Retrieval", keeps=("predictions",),
        evaluated="targets",
    ),
    Kind(
        name="few_shot", version=1, notebook="40_few_shot.ipynb", job=jobs.FewShotJob,
        phase="after phase 3", title="A few examples in the target languages",
        keeps=("predictions",), evaluated="targets",
    ),
)  # fmt: skip
KINDS = {kind.name: kind for kind in ALL}
