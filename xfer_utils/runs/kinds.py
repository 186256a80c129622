"""The kinds of job: one record each, which is all that plan, engine, cost and report know of them.

`version` is raised by hand when a change makes a kind's results differ; tests/runs/test_golden.py
says when that is due.
"""

from dataclasses import dataclass

from xfer_utils.study.jobs import EncoderJob, IntermediateJob, Job, RetrievalJob, TargetJob


@dataclass(frozen=True)
class Kind:
    """One kind of job.

    `keeps` are the folders whose files belong to the record. `trained` and `evaluated` name the
    parameters that list tasks: from them the identity knows the registry rows.
    """

    name: str
    version: int
    notebook: str
    job: type[Job]
    phase: str
    title: str
    keeps: tuple[str, ...]
    trained: str = ""
    evaluated: str = ""

    def trains_on(self, job: Job) -> list[str]:
        """Tasks whose training sets a job reads."""
        names = getattr(job, self.trained) if self.trained else []
        return [names] if isinstance(names, str) else list(names)

    def scores(self, job: Job) -> list[str]:
        """Targets that a job evaluates."""
        return list(getattr(job, self.evaluated)) if self.evaluated else []


ALL = (
    Kind(
        name="encoder", version=2, notebook="10_encoder.ipynb", job=EncoderJob,
        phase="phase 1", title="Encoders", keeps=("encoder",),
    ),
    Kind(
        name="intermediate", version=2, notebook="20_intermediate.ipynb", job=IntermediateJob,
        phase="phase 2", title="Intermediate training", keeps=("encoder", "predictions"),
        trained="tasks",
    ),
    Kind(
        name="target", version=2, notebook="30_target.ipynb", job=TargetJob,
        phase="phase 3", title="Target training and evaluation",
        keeps=("encoder", "model", "predictions"), trained="train_task", evaluated="targets",
    ),
    Kind(
        name="retrieval", version=1, notebook="35_retrieval.ipynb", job=RetrievalJob,
        phase="phase 3, no training", title="Retrieval", keeps=("predictions",),
        evaluated="targets",
    ),
)  # fmt: skip
KINDS = {kind.name: kind for kind in ALL}
