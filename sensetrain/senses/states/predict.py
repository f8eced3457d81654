"""Tokens and a teacher in, the artefact `predicted` out: the most probable next token at each position.

A plan with `state_of: predicted` is made from it. Any number of processes share the batches, as in `collect`. The LM
head runs on _HEAD_POSITIONS positions at a time, so that a whole batch's logits are never in memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedModel

from lexgraph.common.errors import UserError
from sensetrain.artefacts.manifest import Manifest
from sensetrain.artefacts.number_type import agreed_compute
from sensetrain.artefacts.ranges import offsets_of, ranges
from sensetrain.artefacts.shared_work import SharedWork, TensorUnits, work_together
from sensetrain.artefacts.tensor_file import TensorFile
from sensetrain.models.folder import ModelFolder
from sensetrain.models.forward import check_length, last_hidden_state
from sensetrain.models.logits import logits_of
from sensetrain.senses.plan.batches import plan_batches, sequences_by_batch
from sensetrain.senses.plan.predicted import PREDICTED, SCHEMA
from sensetrain.senses.settings import PredictSettings
from sensetrain.senses.states.teacher_pass import padded_ids
from sensetrain.text.tokens import TRAIN, Tokens

_IDS = ".ids.safetensors"  # the predictions of all positions end to end, until they are written as lists
_HEAD_POSITIONS = 1024  # whose logits are in memory at once
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
    with agreed_compute(out, "predicted", settings, inputs) as settings:
        model = teacher.load(settings.compute)
        check_length(model, int(tokens.lengths().max()), teacher.name)
        sequences = tokens.split(TRAIN)
        counts = tokens.lengths()[sequences] - 1
        offsets = offsets_of(counts)
        not_empty = counts > 0
        planned = plan_batches(sequences[not_empty], counts[not_empty], settings.batch_tokens)
        batches = [np.searchsorted(sequences, batch) for batch in sequences_by_batch(planned)]

        def fill(file: TensorFile, number: int) -> None:
            batch = batches[number]
            rows = ranges(offsets[batch], counts[batch])
            file.write("ids", rows, _most_probable(model, tokens, sequences[batch], counts[batch]))

        def finish(folder: Path) -> dict[str, Any]:
            _write_lists(folder, sequences, offsets)
            return {"sequences": len(sequences), "positions": int(offsets[-1]), "batches": len(batches)}

        layout = {"ids": ("int32", (int(offsets[-1]),))}
        job = SharedWork(
            "predict",
            "positions",
            "batches",
            np.array([counts[batch].sum() for batch in batches]),
            lambda folder: TensorUnits(TensorFile(folder / _IDS, layout), fill),
            finish,
        )
        return work_together(job, out, "predicted", settings.shape(), inputs)


@torch.inference_mode()
def _most_probable(
    model: PreTrainedModel, tokens: Tokens, sequences: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> Tensor:
    """The teacher's arg-max at the first `lengths` positions of some sequences, end to end, int64 on the CPU."""
    ids, mask = padded_ids(tokens, sequences, lengths)
    states = last_hidden_state(model, ids, mask)[mask.bool()]
    return torch.cat([logits_of(model, part).argmax(1) for part in torch.split(states, _HEAD_POSITIONS)]).cpu()


def _write_lists(folder: Path, sequences: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64]) -> None:
    """Write the predictions of each sequence as a list; sequence i has the ids offsets[i] to offsets[i + 1]."""
    with (
        safe_open(folder / _IDS, framework="np") as file,
        pq.ParquetWriter(folder / PREDICTED, SCHEMA, compression="zstd") as writer,
    ):
        ids = file.get_slice("ids")
        for start in range(0, len(sequences), _ROWS):
            own = offsets[start : start + _ROWS + 1]
            lists = pa.ListArray.from_arrays(pa.array(own - own[0], pa.int32()), ids[int(own[0]) : int(own[-1])])
            writer.write_table(pa.table([sequences[start : start + _ROWS], lists], schema=SCHEMA))
