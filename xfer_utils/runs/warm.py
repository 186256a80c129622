# ruff: noqa: F401
"""What the warm server imports before it forks kernels; nothing here may start threads."""

import gc

import accelerate
import ipykernel.ipkernel
import ipykernel.kernelapp
import matplotlib.pyplot
import matplotlib_inline.backend_inline
import transformers.models.auto.modeling_auto
import transformers.models.xlm_roberta.modeling_xlm_roberta
import transformers.models.xlm_roberta.tokenization_xlm_roberta

import xfer_utils.learning.training
import xfer_utils.scoring.evaluation
import xfer_utils.scoring.retrieval
import xfer_utils.sources.folder
import xfer_utils.sources.toy.write

gc.freeze()
