"""A student's forward pass in; the states that its LM head reads out, since the loss applies the head in chunks."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from lexgraph.common.errors import UserError
from sensetrain.models.forward import body_of
from sensetrain.models.logits import LogitForm, require_known_logits, trial_logits
from sensetrain.models.surgery import ALIGNMENT


class StudentStates:
    """The states that the LM head would read, of the last forward pass, and the head itself.

    A hook works through the wrappers of data-parallel training, where reaching for the inner model would bypass them.
    It applies W_align too: inside the forward pass its weights are whole even where they are sharded.

    Raises:
        UserError: the model computes its logits in an unknown way.
    """

    def __init__(self, model: Any) -> None:
        require_known_logits(model)
        self._states: tuple[Tensor, Tensor] | None = None
        self._align: nn.Module = getattr(model, ALIGNMENT, None) or nn.Identity()
        self.head: nn.Module = model.get_output_embeddings()
        self.form = LogitForm.of(model.config)
        # OPT and its relatives call the decoder inside the body, not the body.
        body_of(model).get_decoder().register_forward_hook(self._remember)
        trial_logits(model)
        if self._states is None:
            raise UserError(f"{type(model).__name__} hides what its LM head reads; it is not supported", field="model")
        self._states = None

    def _remember(self, module: nn.Module, arguments: Any, output: Any) -> None:
        states = output.last_hidden_state
        self._states = states, self._align(states)

    def take(self) -> tuple[Tensor, Tensor]:
        """The states, as the head reads them and in the teacher's width.

        They are then dropped, so that their autograd graph does not outlive the step.
        """
        if self._states is None:
            raise RuntimeError("no forward pass since the states were last taken")
        states, self._states = self._states, None
        return states
