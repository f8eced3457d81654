"""A teacher of a few thousand random weights with a real tokenizer, and the pipeline's artefacts, made with it once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from chat_models import with_template
from random_teacher import write_teacher
from tokenizers.processors import TemplateProcessing

import lexgraph
from sensetrain.distill.sense_source import SenseSource
from sensetrain.distill.settings import TeachSettings
from sensetrain.models.folder import ModelFolder, find_model
from sensetrain.pipeline import stages
from sensetrain.senses.settings import ClusterSettings, CollectSettings, ComposeSettings, PlanSettings
from sensetrain.text.settings import TokenizeSettings


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models this small gain nothing from threads, and become slow where test processes share the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return find_model(str(write_teacher(tmp_path_factory.mktemp("teacher"))))


@pytest.fixture(scope="session")
def other_teacher(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """Another model with the same tokenizer."""
    return find_model(str(write_teacher(tmp_path_factory.mktemp("other"), seed=1)))


@pytest.fixture(scope="session")
def ending(teacher: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """The teacher with a tokenizer that writes the end of text itself."""
    folder = tmp_path_factory.mktemp("ending")
    shutil.copytree(teacher.path, folder, dirs_exist_ok=True)
    tokenizer = teacher.tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A <|end|>", special_tokens=[("<|end|>", tokenizer.eos_token_id)]
    )
    tokenizer.save_pretrained(folder)
    found = find_model(str(folder))
    assert found.tokenizer()("a")["input_ids"][-1] == tokenizer.eos_token_id
    return found


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six of the sample essays."""
    folder = tmp_path_factory.mktemp("corpus")
    for file in sorted(lexgraph.sample_data().glob("corpora/essays/*.txt"))[::7]:
        (folder / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def chatting(teacher: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """The teacher as a chat model."""
    return with_template(teacher, tmp_path_factory.mktemp("chatting"))


@dataclass(frozen=True)
class Line:
    """The artefacts of a run of the pipeline with the random teacher: `line.tokens` is the folder of its tokens."""

    folder: Path
    teacher: ModelFolder
    graph: Path

    def __getattr__(self, name: str) -> Path:
        return self.folder / name

    def senses_source(self) -> SenseSource:
        return SenseSource.open(self.senses, self.composed, self.neighbours, self.teacher)


@pytest.fixture(scope="session")
def line(
    tmp_path_factory: pytest.TempPathFactory, teacher: ModelFolder, corpus_folder: Path, sample_graph: Path
) -> Line:
    """The artefacts from tokens to cache, which all tests share: read them, do not write to them."""
    run = Line(tmp_path_factory.mktemp("line"), teacher, sample_graph)
    tokenize = TokenizeSettings(sequence_length=48, heldout=0.2, seed=1)
    stages.tokenize_stage([corpus_folder], teacher, run.tokens, tokenize).ensure()
    stages.plan_stage(run.tokens, run.plan, PlanSettings(max_samples=30, batch_tokens=400)).ensure()
    stages.collect_stage(run.tokens, run.plan, teacher, run.states, CollectSettings(dtype="fp32")).ensure()
    stages.cluster_stage(run.states, run.plan, teacher, run.senses, ClusterSettings(k=4, dtype="fp32")).ensure()
    stages.compose_stage(run.graph, run.senses, teacher, run.composed, ComposeSettings()).ensure()
    stages.neighbours_stage(run.graph, run.senses, run.composed, teacher, run.neighbours).ensure()
    stages.teach_stage(run.tokens, teacher, run.senses_source(), run.cache, TeachSettings(top_k=16)).ensure()
    return run
