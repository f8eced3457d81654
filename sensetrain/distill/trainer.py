"""Batches in, gradients of the KD or DSKD loss out, on `transformers.Trainer`.

Accumulation, mixed precision, several processes and logging are Trainer's.

The loss of a step is a sum over its targets divided by how many there are in the whole step, over all accumulated
batches and all processes; the sense term has its own count, of the sampled positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback
from transformers.utils.import_utils import is_peft_available

from lexgraph.common.errors import UserError
from sensetrain.distill.batches import IGNORE, MODEL_INPUTS, StepOrder, WithFiller, collate
from sensetrain.distill.config import METRIC, DSKDConfig, KDConfig
from sensetrain.distill.losses.chunked import head_loss
from sensetrain.distill.losses.divergence import Divergence
from sensetrain.distill.losses.sense_term import sense_sum
from sensetrain.distill.sense_source import SenseSource, check_senses
from sensetrain.distill.settings import DistilSettings, DSKDSettings
from sensetrain.distill.student_states import StudentStates
from sensetrain.distill.teachers.base import TopK
from sensetrain.distill.teachers.live import CachedTeacher, Teacher, TeacherOutput
from sensetrain.distill.training_log import LossTerms, load_step, save_step
from sensetrain.models.folder import ModelFolder
from sensetrain.models.forward import state_width
from sensetrain.models.surgery import ALIGNMENT, add_alignment, write_student


class KDTrainer(Trainer):
    """Trains a student on the teacher's probabilities: L = CE + alpha T^2 D (DSKD 4.1, where D is the KL).

    Args:
        model: the student, with LoRA (`sensetrain.models.lora.add_lora`) or without.
        args: a `KDConfig`.
        teacher: where the teacher's part of a batch is from: a model folder, whose head is applied to a cache's states,
            or a `LiveTeacher`. If not given, the student's own head is, which a cut shares with its teacher.
        trainer: arguments of `transformers.Trainer`; `train_dataset` as `TrainingSequences`, `eval_dataset` as
            `HeldoutSequences`.
    """

    args: KDConfig
    settings: DistilSettings
    model: Any
    train_dataset: Any

    def __init__(
        self, *, model: Any, args: KDConfig, teacher: Teacher | ModelFolder | None = None, **trainer: Any
    ) -> None:
        _require_plain(model)
        if teacher is None and args.settings.student is not None and args.settings.alpha:
            raise UserError(
                "a student that is no cut of the teacher does not have the teacher's head",
                field="teacher",
                remedy="give the trainer the teacher: teacher=find_model(...)",
            )
        use_cache = model.config.use_cache
        super().__init__(model=model, args=args, **{"data_collator": collate, **trainer})
        # Trainer turns it off in the configuration, which the checkpoint would keep; `_forward` turns it off itself.
        model.config.use_cache = use_cache
        self.settings = args.settings
        # Both tell Trainer that compute_loss divides by the global counts itself.
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True
        self._student_states = StudentStates(model)
        if isinstance(teacher, ModelFolder):
            teacher = CachedTeacher.of(teacher, self.settings.tail)
        self.teacher = teacher or CachedTeacher(
            self._student_states.head, self.settings.tail, self._student_states.form
        )
        self.divergence = Divergence(self.settings.divergence, self.settings.jsd_beta)
        self.terms = LossTerms()
        self._batches: list[dict[str, Tensor]] = []
        self._step_loss = torch.zeros((), device=args.device)
        self._order: StepOrder | None = None
        if self.is_fsdp_enabled:
            self._leave_head_whole()
        self.add_callback(_EpochsAndSteps(self))

    def get_train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Batches of this process; see `StepOrder`."""
        loader, self._order = self._loader(self.train_dataset, self.args.train_batch_size, self.args.seed)
        return loader

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Tensor]:
        """The batches of one step and, over all of them and all processes, its targets and its sampled positions."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        counts = torch.zeros(2, device=device)
        for batch in batches:
            counts += torch.stack([(batch["labels"] != IGNORE).sum(), batch["sampled"].sum()]).to(counts)
        self._batches, self._step_loss = batches, torch.zeros((), device=device)
        return batches, self.accelerator.reduce(counts, reduction="sum")

    def compute_loss(  # type: ignore[override]  # the count is a pair here: targets and sampled positions
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Any:
        """This batch's share of the step's loss."""
        if num_items_in_batch is None:
            num_items_in_batch = torch.stack([(inputs["labels"] != IGNORE).sum(), inputs["sampled"].sum()])
        targets, sampled = num_items_in_batch.clamp_min(1)
        outputs, states, aligned = self._forward(model, inputs)
        teacher_output = self._teacher_output(inputs)
        loss, ce, kl = head_loss(
            states,
            self._student_states.head,
            inputs["labels"][inputs["labels"] != IGNORE],
            teacher_output.distribution,
            temperature=self.settings.temperature,
            alpha=self.settings.alpha,
            form=self._student_states.form,
            divergence=self.divergence,
        )
        further = self.further_terms(aligned, teacher_output, inputs, sampled)
        loss = loss / targets + sum(further.values())
        self.terms.add({"ce": ce / targets, "kl": kl / targets, **further}, inputs)
        self._step_loss += loss.detach()
        # Data-parallel training averages gradients over the processes, and the counts above are sums over them.
        loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def _teacher_output(self, inputs: dict[str, Tensor]) -> TeacherOutput:
        """The teacher's part of the batch. The teacher does not run where no term of the loss needs it."""
        if self.settings.alpha or self.has_sense_term:
            return self.teacher.of_batch(inputs, senses=self.has_sense_term)
        return TeacherOutput(_no_teacher(inputs["labels"][inputs["labels"] != IGNORE]), {})

    @property
    def has_sense_term(self) -> bool:
        """Whether the loss needs P' and N'."""
        return False

    def further_terms(
        self, states: Tensor, teacher_output: TeacherOutput, inputs: dict[str, Tensor], sampled: Tensor
    ) -> dict[str, Tensor]:
        """Terms beyond CE and the divergence, already divided by their counts.

        Args:
            states: the student's at all targets, in the teacher's width.
            teacher_output: the teacher's part of the batch.
            inputs: the batch.
            sampled: how many positions of the step carry the sense term.
        """
        return {}

    @torch.no_grad()
    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Cross-entropy a target and perplexity of held-out sequences, over all processes."""
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        model = self.model_wrapped.eval()
        total = torch.zeros(2, device=self.args.device)
        for batch in self._loader(dataset, self.args.eval_batch_size, None)[0]:
            inputs = self._prepare_inputs(batch)
            targets = inputs["labels"][inputs["labels"] != IGNORE]
            _, states, _ = self._forward(model, inputs)
            _, ce, _ = head_loss(
                states,
                self._student_states.head,
                targets,
                _no_teacher(targets),
                temperature=1.0,
                alpha=0.0,
                form=self._student_states.form,
            )
            total += torch.stack([ce, torch.full_like(ce, len(targets))]).to(total)
        nll, count = self.accelerator.reduce(total, reduction="sum").tolist()
        nll /= max(1.0, count)
        # exp overflows a float only beyond 709 nats.
        metrics = {f"{metric_key_prefix}_{METRIC}": nll, f"{metric_key_prefix}_perplexity": math.exp(min(nll, 700.0))}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log the terms since they were last logged beside the loss."""
        if "loss" in logs:
            logs = {**logs, **self.terms.take(self.state.global_step, self.accelerator)}
        super().log(logs, *args, **kwargs)

    def set_epoch(self, epoch: int) -> None:
        """Take the order and the sampled positions of this epoch."""
        if self._order is not None:
            self._order.set_epoch(epoch)
        if hasattr(self.train_dataset, "set_epoch"):
            self.train_dataset.set_epoch(epoch)

    def check_step(self, step: int) -> None:
        """Stop before a step whose loss or gradient is not finite, and keep its batches and weights for `replay`.

        Raises:
            UserError: one of them is not finite; the message names the step and the file.
        """
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        local = [g.to_local() if hasattr(g, "to_local") else g for g in gradients]
        size = nn.utils.get_total_norm(local)
        bad = (~torch.isfinite(self._step_loss + size)).float()
        if not float(self.accelerator.reduce(bad, reduction="sum")):
            return
        beside = self.args.failed_step_beside
        file = beside.with_name(f"{beside.name}-step-{step}-process-{self.args.process_index}.safetensors")
        facts = {"step": step, "epoch": math.floor(self.state.epoch or 0), "loss": str(float(self._step_loss))}
        save_step(file, self._batches, self.model, {**facts, "settings": self.settings.shape()})
        raise UserError(
            f"the loss or the gradient of step {step} is not finite",
            path=file,
            field="loss",
            remedy="lower the learning rate, or look at that step: the file has its batches and weights",
        )

    def replay(self, file: Path) -> list[float]:
        """The loss of each batch of a step that `check_step` kept, with the weights of that time.

        Each is divided by the counts of its own batch, so that the batch at fault shows.
        """
        batches, weights, _ = load_step(file)
        self.model.load_state_dict(weights, strict=False)
        losses = [self.compute_loss(self.model, self._prepare_inputs(batch)) for batch in batches]
        return [float(loss.detach()) for loss in losses]

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the student as a plain checkpoint: with LoRA in its weights, W_align beside it, and the tokenizer."""
        if _internal_call and output_dir is not None:
            # A state to resume from keeps LoRA and W_align apart.
            super().save_model(output_dir, _internal_call)
            return
        state = self.full_state()
        if self.args.should_save:
            folder = Path(output_dir or str(self.args.output_dir))
            folder.mkdir(parents=True, exist_ok=True)
            write_student(self.model, state, folder)
            if self.processing_class is not None:
                self.processing_class.save_pretrained(folder)

    def full_state(self) -> dict[str, Tensor]:
        """The student's weights, whole: where they are sharded, all processes gather them for the first one."""
        state: dict[str, Tensor] = self.accelerator.get_state_dict(self.model)
        return state

    def _forward(self, model: nn.Module, inputs: dict[str, Tensor]) -> tuple[Any, Tensor, Tensor]:
        """The model's outputs and the states of all targets, as the head reads them and in the teacher's width."""
        columns = {name: inputs[name] for name in MODEL_INPUTS if name in inputs}
        # Trainer needs logits; one position is the cheapest. The loss applies the head itself, in chunks.
        outputs = model(**columns, use_cache=False, logits_to_keep=1)
        states, aligned = self._student_states.take()
        has_target = inputs["labels"] != IGNORE
        # Autocast leaves the final norm in float32, but the product with the head, the largest of all, must be in bf16.
        narrow = states.to(torch.bfloat16) if self.args.bf16 else states
        return outputs, narrow[has_target], aligned[has_target]

    def _loader(
        self, dataset: Any, batch_size: int, seed: int | None
    ) -> tuple[DataLoader[dict[str, Tensor]], StepOrder]:
        order = StepOrder(len(dataset), batch_size, self.args.process_index, self.args.world_size, seed)
        loader = DataLoader(
            WithFiller(dataset),
            batch_sampler=order,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return loader, order

    def _leave_head_whole(self) -> None:
        """Keep the LM head, and the embedding tied to it, out of the sharding.

        The loss applies the head outside the forward pass, where sharded weights would have to be gathered again for
        each batch. It is frozen, so it needs neither gradients nor optimizer states: unsharded it costs only its size.
        """
        if any(p.requires_grad for p in self._student_states.head.parameters()):
            raise UserError("the LM head is trained, which sharding does not allow", field="fsdp")
        self.accelerator.state.fsdp_plugin.ignored_modules = [self._student_states.head]


def _require_plain(student: Any) -> None:
    """Refuse a model in peft's wrapper: the trainer trains and saves the plain model."""
    if is_peft_available():
        from peft import PeftModel

        if isinstance(student, PeftModel):
            raise UserError(
                "the student is a PeftModel; LoRA is put on a plain model here",
                field="model",
                remedy="build_student(teacher, settings) with lora_rank, or lora.add_lora(model, rank)",
            )


def _no_teacher(targets: Tensor) -> TopK:
    """A stand-in for the teacher where the weight of the divergence is 0."""
    return TopK(targets[:, None], torch.zeros_like(targets[:, None], dtype=torch.float32))


class _EpochsAndSteps(TrainerCallback):
    """Tells the trainer when an epoch or a step begins, also where a training resumes in the middle of an epoch."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Logged terms are means over the steps of this run."""
        self._trainer.terms.start(state.global_step)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Order and sampled positions depend on the epoch; Trainer counts 1.5 in the middle of the second."""
        self._trainer.set_epoch(math.floor(state.epoch or 0))

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A step that is not finite must not change the weights."""
        self._trainer.check_step(state.global_step + 1)


class DSKDTrainer(KDTrainer):
    """KD and the semantic consistency loss towards the chosen senses (DSKD 4.2).

    Args:
        senses: the rows that states are pulled to and pushed from; only those of the current batch go to the student's
            device. With the settings they decide the margin and the scale of the distances. A student of another
            width gets W_align.
        trainer: arguments of `KDTrainer`; `args` is a `DSKDConfig`.

    Attributes:
        gamma: the margin.

    Raises:
        UserError: the neighbours were made with another `max_neighbours` than the settings have.
    """

    args: DSKDConfig
    settings: DSKDSettings

    def __init__(self, *, model: Any, args: DSKDConfig, senses: SenseSource, **trainer: Any) -> None:
        settings = args.settings
        check_senses(senses, settings)
        if not hasattr(model, ALIGNMENT) and state_width(model) != senses.rows.shape[1]:
            add_alignment(model, senses.rows.shape[1])
        super().__init__(model=model, args=args, **trainer)
        self.rows, self.scale = senses.rows, senses.scale(settings.metric)
        gamma = settings.gamma
        self.gamma = senses.gamma(settings.gamma_quantile, settings.metric) if gamma == "auto" else gamma

    @property
    def has_sense_term(self) -> bool:
        """False with both weights at zero, which is KD, to the bit."""
        return bool(self.settings.beta_p or self.settings.beta_n)

    def further_terms(
        self, states: Tensor, teacher_output: TeacherOutput, inputs: dict[str, Tensor], sampled: Tensor
    ) -> dict[str, Tensor]:
        """The sense term over the sampled positions."""
        if not self.has_sense_term:
            return {}
        total = sense_sum(
            states[inputs["sampled"]],
            self.rows,
            teacher_output.sense_rows["positive"].long(),
            teacher_output.sense_rows["negative"].long(),
            beta_p=self.settings.beta_p,
            beta_n=self.settings.beta_n,
            gamma=self.gamma,
            scale=self.scale,
        )
        return {"sense": total / sampled}
