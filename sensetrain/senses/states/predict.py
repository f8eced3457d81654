"""One teacher pass over the training sequences that keeps only the most probable next token of each position.

It is what `state_of: predicted` plans from. Batches are shared as in `collect`. The LM head sees some positions at a
time, so that logits of all never exist.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedModel

from lexgraph.common.errors import UserError
from sensetrain.artefacts.manifest import Manifest
from sensetrain.artefacts.shared_work import Job, TensorWork, settled, work_together
from sensetrain.artefacts.tensor_file import TensorFile
from sensetrain.models.folder import ModelFolder
from sensetrain.models.forward import check_length, last_hidden_state, logits_of
from sensetrain.senses.plan.plan import members_of, plan_batches
from sensetrain.senses.plan.predicted import PREDICTED, SCHEMA
from sensetrain.senses.settings import PredictSettings
from sensetrain.senses.states.collect import Ints, padded
from sensetrain.text.tokens import TRAIN, Tokens

_IDS = ".ids.safetensors"  # all positions end to end, until they are written as lists
_HEAD_POSITIONS = 1024  # whose logits exist at once
_ROWS = 4096  # sequences in a row group


def predict_inputs(tokens: Manifest, teacher: ModelFolder) -> dict[str, str]:
    """Fingerprints of what predictions are made from."""
    return {"tokens": tokens.fingerprint, "teacher": teacher.fingerprint, "tokenizer": teacher.tokenizer_fingerprint}


def predict(tokens_path: Path, teacher: ModelFolder, out: Path, settings: PredictSettings) -> Manifest:
    """Write the teacher's most probable next tokens into the artefact `predicted`.

    Raises:
        UserError: the tokens are another tokenizer's, a sequence is too long for the teacher, or it is an encoder.
    """
    tokens = Tokens.open(tokens_path)
    tokens.manifest.require(tokens_path, {"tokenizer": teacher.tokenizer_fingerprint})
    if teacher.is_encoder:
        raise UserError("an encoder predicts no next token", path=teacher.path, remedy="take a decoder (Llama)")
    inputs = predict_inputs(tokens.manifest, teacher)
    with settled(out, "predicted", settings, inputs) as settings:
        model = teacher.load(settings.compute)
        check_length(model, int(tokens.lengths().max()), teacher.name)
        sequences = tokens.split(TRAIN)
        counts = tokens.lengths()[sequences] - 1
        offsets = np.concatenate([[0], np.cumsum(counts)])
        some = counts > 0
        batches = list(members_of(plan_batches(sequences[some], counts[some], settings.batch_tokens)))

        def fill(file: TensorFile, number: int) -> None:
            batch = batches[number]
            place = np.searchsorted(sequences, batch)
            rows = np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in place])
            file.write("ids", rows, _most_probable(model, tokens, batch, counts[place]))

        def finish(folder: Path) -> dict[str, Any]:
            _write_lists(folder, sequences, offsets)
            return {"sequences": len(sequences), "positions": int(offsets[-1]), "batches": len(batches)}

        layout = {"ids": ("int32", (int(offsets[-1]),))}
        job = Job(
            "predict",
            "positions",
            "batches",
            np.array([counts[np.searchsorted(sequences, b)].sum() for b in batches]),
            lambda folder: TensorWork(TensorFile(folder / _IDS, layout), fill),
            finish,
        )
        return work_together(job, out, "predicted", settings.shape(), inputs)


@torch.inference_mode()
def _most_probable(model: PreTrainedModel, tokens: Tokens, batch: Ints, lengths: Ints) -> Tensor:
    """The teacher's arg-max at the first positions of some sequences, end to end."""
    ids, mask = padded(tokens, batch, lengths)
    states = last_hidden_state(model, ids, mask)[mask.bool()]
    return torch.cat([logits_of(model, part).argmax(1) for part in torch.split(states, _HEAD_POSITIONS)]).cpu()


def _write_lists(folder: Path, sequences: Ints, offsets: Ints) -> None:
    """The lists of each sequence, from the ids end to end."""
    with (
        safe_open(folder / _IDS, framework="np") as file,
        pq.ParquetWriter(folder / PREDICTED, SCHEMA, compression="zstd") as writer,
    ):
        ids = file.get_slice("ids")
        for start in range(0, len(sequences), _ROWS):
            part = offsets[start : start + _ROWS + 1]
            lists = pa.ListArray.from_arrays(pa.array(part - part[0], pa.int32()), ids[int(part[0]) : int(part[-1])])
            writer.write_table(pa.table([sequences[start : start + _ROWS], lists], schema=SCHEMA))
