"""The encoder and one thin head per format over AutoModel; saving and loading, safetensors only."""

import inspect
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer, XLMRobertaConfig

from xfer_utils.features import IGNORE

POINTER, MLM_HEAD = "pointer.json", "mlm_head.safetensors"


class MissingEncoder(FileNotFoundError):
    """There is no encoder where one was expected; the message says which command makes it."""


class TaskModel(nn.Module):
    """One encoder with a head per task; a batch names its task."""

    def __init__(self, encoder: nn.Module, formats: dict[str, str], labels: dict[str, int]) -> None:
        super().__init__()
        width = encoder.config.hidden_size
        self.encoder, self.formats = encoder, formats
        outputs = {"choice": 1, "span": 2}
        self.heads = nn.ModuleDict(
            {
                task: mlm_head(encoder)
                if kind == "mlm"
                else Head(width, outputs.get(kind) or labels[task], kind)
                for task, kind in formats.items()
            }
        )

    def forward(
        self, task: str, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor | None = None,
        positions: torch.Tensor | None = None, choices: int = 0, token_type_ids: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:  # fmt: skip
        """Loss (where labels are given) and logits; for token tasks and masked LM at `positions` only."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **types).last_hidden_state
        kind = self.formats[task]
        if kind in ("token", "mlm"):
            logits = self.heads[task](hidden.flatten(0, 1).index_select(0, positions))
        else:
            logits = self.heads[task](hidden)
        if kind == "choice":
            logits = logits.view(-1, choices)
        if kind == "span":
            logits = logits.masked_fill(~attention_mask.bool()[:, :, None], torch.finfo(logits.dtype).min)
        if labels is None:
            return {"logits": logits}
        if kind == "span":
            loss = (F.cross_entropy(logits[..., 0].float(), labels[:, 0])
                    + F.cross_entropy(logits[..., 1].float(), labels[:, 1])) / 2  # fmt: skip
        else:
            loss = F.cross_entropy(logits.float(), labels, ignore_index=IGNORE)
        return {"loss": loss, "logits": logits}


class Head(nn.Module):
    """Classification from the first token (with the usual dense layer), or one linear layer over every token."""

    def __init__(self, width: int, outputs: int, kind: str) -> None:
        super().__init__()
        self.pooled = kind in ("sequence", "choice")
        self.dense = nn.Linear(width, width) if self.pooled else None
        self.out = nn.Linear(width, outputs)
        for layer in filter(None, (self.dense, self.out)):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits per row, or per token."""
        if self.pooled:
            hidden = torch.tanh(self.dense(hidden[:, 0]))
        return self.out(hidden)


def mlm_head(encoder: nn.Module) -> nn.Module:
    """The masked-LM head of the encoder's own architecture, its output layer tied to the word embeddings."""
    with torch.device("meta"):
        whole = AutoModelForMaskedLM.from_config(encoder.config)
    head = whole.lm_head.to_empty(device="cpu")
    whole._init_weights(head.dense)
    nn.init.ones_(head.layer_norm.weight)
    nn.init.zeros_(head.layer_norm.bias)
    head.decoder.weight = encoder.get_input_embeddings().weight
    nn.init.zeros_(head.bias)
    head.decoder.bias = head.bias
    stored = getattr(encoder, "mlm_head_state", None)
    if stored:
        head.load_state_dict(stored, strict=False)
    return head


def new_encoder(
    tokenizer: Any, *, layers: int, width: int, heads: int, positions: int, dropout: float
) -> nn.Module:
    """A small XLM-R of transformers' own architecture with random weights."""
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer), num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads,
        intermediate_size=4 * width, max_position_embeddings=positions + tokenizer.pad_token_id + 1,
        hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, type_vocab_size=1,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return AutoModel.from_config(config, **_no_pooler(config))


def save_encoder(folder: Path, encoder: nn.Module, tokenizer: Any, head: nn.Module | None = None) -> None:
    """An encoder folder that transformers itself can load, with the masked-LM head beside it where there is one."""
    encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if head is not None:
        state = {name: value for name, value in head.state_dict().items() if name != "decoder.weight"}
        save_file({name: value.clone().contiguous() for name, value in state.items()}, folder / MLM_HEAD)


def save_pointer(folder: Path, model: str, revision: str) -> None:
    """An encoder folder that only names a published model, so that no weights are copied."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / POINTER).write_text(json.dumps({"model": model, "revision": revision}))


def origin(run_dir: Path) -> tuple[str, dict[str, str]]:
    """What from_pretrained is to be asked for: the run's own folder, or the published model that it points to."""
    folder = run_dir / "encoder"
    if (folder / POINTER).exists():
        pointer = json.loads((folder / POINTER).read_text())
        return pointer["model"], {"revision": pointer["revision"]}
    if not (folder / "config.json").exists():
        raise MissingEncoder(
            f"There is no encoder in {folder}. `xfer run params/smoke.yaml` makes the runs of a small study in order; "
            "to work by hand, run notebooks/10_encoder.ipynb (and 20_intermediate.ipynb) first."
        )
    return str(folder), {}


def load_tokenizer(run_dir: Path) -> Any:
    """The tokenizer of an encoder run."""
    name, revision = origin(run_dir)
    return AutoTokenizer.from_pretrained(name, **revision)


def load_encoder(run_dir: Path) -> nn.Module:
    """The encoder of a run in fp32: half-precision checkpoints are widened, never trained in half by accident."""
    name, revision = origin(run_dir)
    config = AutoConfig.from_pretrained(name, **revision)
    encoder = AutoModel.from_pretrained(
        name, config=config, dtype=torch.float32, attn_implementation="sdpa", **revision, **_no_pooler(config)
    )
    head = run_dir / "encoder" / MLM_HEAD
    encoder.mlm_head_state = load_file(head) if head.exists() else None
    return encoder


def with_lora(encoder: nn.Module, rank: int) -> nn.Module:
    """The encoder with low-rank adapters on every linear layer; only they are trained."""
    from peft import LoraConfig, get_peft_model

    return get_peft_model(encoder, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear"))


def merged(encoder: nn.Module) -> nn.Module:
    """The plain encoder again, adapters (where there are any) worked into its weights."""
    return encoder.merge_and_unload() if hasattr(encoder, "merge_and_unload") else encoder


def device() -> torch.device:
    """The first GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _no_pooler(config: Any) -> dict[str, bool]:
    """Leaves out the untrained pooling layer where the architecture lets us."""
    accepted = inspect.signature(AutoModel._model_mapping[type(config)].__init__).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in accepted else {}
