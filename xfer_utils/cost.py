"""How long a plan will take: measured durations of like runs where there are any, else FLOPs over an assumed rate."""

from dataclasses import dataclass
from statistics import median

from xfer_utils import records
from xfer_utils.study import Plan, Run, runs_folder
from xfer_utils.tasks import task, training_parts

ASSUMED_FLOPS = {"cpu": 1.0e10, "gpu": 1.0e14}  # per kernel: a CPU core on a small model; one large GPU in bf16
START_SECONDS = 1.5


@dataclass
class Expected:
    """Seconds of kernel time still to spend, and how they are known."""

    seconds: dict[str, float]
    measured: int
    assumed: int

    @property
    def basis(self) -> str:
        """In words, for the plan's last line."""
        parts = [f"{self.measured} from measured runs"] * bool(self.measured)
        parts += [f"{self.assumed} from FLOPs over an assumed rate"] * bool(self.assumed)
        return ", ".join(parts) or "nothing to do"


def expected(plan: Plan, todo: list[str]) -> Expected:
    """Expected kernel seconds of each run that is still to do."""
    history = _history()
    found = Expected({}, 0, 0)
    for run_id in todo:
        run = plan.runs[run_id]
        like = history.get(run.slug) or history.get(_kind_key(run))
        found.measured += bool(like)
        found.assumed += not like
        found.seconds[run_id] = median(like) if like else _assumed(plan, run)
    return found


def wall_seconds(plan: Plan, seconds: dict[str, float], workers: int) -> float:
    """Time until all is done with so many kernels: the work shared out, but never less than the longest chain."""
    chain: dict[str, float] = {}
    for run in plan.runs.values():
        above = max((chain.get(parent, 0.0) for parent in run.parents), default=0.0)
        chain[run.id] = above + seconds.get(run.id, 0.0)
    encoders = sum(seconds.get(run.id, 0.0) for run in plan.runs.values() if run.kind == "encoder")
    rest = sum(seconds.values()) - encoders
    return max(max(chain.values(), default=0.0), encoders + rest / max(1, workers))


def _history() -> dict[str, list[float]]:
    """Durations of done runs by readable name and by kind of work."""
    history: dict[str, list[float]] = {}
    for folder in runs_folder().glob("*"):
        result = records.read(folder)
        if result:
            seconds = result.timing["total"]
            history.setdefault(folder.name.rpartition("-")[0], []).append(seconds)
            key = f"{result.kind}:{result.labels.get('train_task', '')}:{result.labels.get('model')}"
            history.setdefault(key, []).append(seconds)
    return history


def _kind_key(run: Run) -> str:
    return f"{run.kind}:{run.labels.get('train_task', '')}:{run.labels['model']}"


def _assumed(plan: Plan, run: Run) -> float:
    """6 FLOPs per parameter and token of training, 2 per token of evaluation."""
    model = plan.study.models[run.labels["model"]]
    rate = ASSUMED_FLOPS["gpu" if model.load else "cpu"]
    return START_SECONDS + parameters(model) * (6 * training_tokens(run) + 2 * evaluation_tokens(run)) / rate


def parameters(model: object) -> float:
    """Parameters outside the embeddings, from the shape where it is given, else by XLM-R Large's."""
    if model.pretrain is None:
        return 3.0e8
    return 12 * model.pretrain.layers * model.pretrain.width**2


def training_tokens(run: Run) -> float:
    """Tokens that a run is trained on."""
    given = run.parameters
    if run.kind == "encoder":
        return 0 if given["load"] else given["steps"] * given["batch_size"] * given["max_length"] / 2
    if run.kind == "retrieval":
        return 0
    names = given["tasks"] if run.kind == "intermediate" else [given["train_task"]]
    total = 0.0
    for name in names:
        rows = sum(task(part).train_rows for part in training_parts(name)) or task(name).train_rows
        rows = min(rows, given["max_examples"] or rows, given.get("multi_cap", rows))
        total += rows * min(task(name).mean_tokens, given["max_length"] * max(1, task(name).choices))
    if given["max_steps"]:
        return min(total * given["epochs"], given["max_steps"] * given["batch_size"] * given["max_length"])
    return total * given["epochs"]


def evaluation_tokens(run: Run) -> float:
    """Tokens that a run evaluates, roughly: the registry's languages at a thousand items each."""
    if run.kind not in ("target", "retrieval"):
        return 0
    items = run.parameters.get("max_eval_items") or 1000
    return sum(len(task(t).languages) * items * task(t).mean_tokens for t in run.parameters["targets"])
