"""Training sets out of benchmark files: all is kept or dropped, and nothing that is evaluated is trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmark_files import choices_row, write_benchmarks, write_lines

from lexgraph.common.errors import UserError
from sensetrain.text.settings import TasksSettings
from sensetrain.text.tasks import BENCHMARKS
from sensetrain.text.tasks.benchmark import TRAIN, VALIDATION, normalized
from sensetrain.text.tasks.items import Examples, chat_of, fewer_choices, item_of, text_of
from sensetrain.text.tasks.reading import read_multiple_choice
from sensetrain.text.tasks.splits import local_splits
from sensetrain.text.tasks.training import TRAINING_SETS, write_tasks


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_benchmarks(tmp_path_factory.mktemp("data"))


def lines_of(folder: Path) -> dict[str, list[dict]]:
    return {
        name: [json.loads(x) for x in (folder / f"{name}.jsonl").read_text().splitlines()] for name in TRAINING_SETS
    }


def check_nothing_evaluated(made: dict[str, list[dict]], data: Path) -> None:
    """No question that is evaluated stands anywhere in the training data, as question or as example."""
    evaluated = set()
    for task, benchmark in BENCHMARKS.items():
        if not benchmark.reserved:
            continue
        splits = local_splits(task, data)
        for name in benchmark.reserved:
            evaluated |= {normalized(item_of(task, record).question) for record in splits[name]}
    assert len(evaluated) > 50
    for rows in made.values():
        for row in rows:
            for turn in row["messages"]:
                if turn["role"] == "user":
                    asked = turn["content"].rsplit("Question: ", 1)[-1]
                    lines = asked.split("\nA. ")[0]
                    assert normalized(lines) not in evaluated


def test_every_item_is_kept_or_dropped_for_a_reason(data: Path, tmp_path: Path) -> None:
    made = write_tasks(list(TRAINING_SETS), data, tmp_path / "tasks", TasksSettings(share=1))
    for name, rows in lines_of(tmp_path / "tasks").items():
        facts = made.facts[name]
        assert facts["kept"] == len(rows) > 0
        assert facts["read"] == facts["kept"] + sum(facts["dropped"].values())
        assert len({row["id"] for row in rows}) == len(rows)
    assert made.facts["mmlu_pro"]["dropped"] == {
        "its question is evaluated": 1,
        "from MMLU by its source": 1,
        "fewer than four choices": 1,
    }
    squad = made.facts["squadv2"]
    assert squad["cut"] == "half-0"
    assert squad["dropped"] == {"evaluated (cut half-0)": 21, "no other question in its paragraph": 3}
    check_nothing_evaluated(lines_of(tmp_path / "tasks"), data)


@pytest.mark.realdata
def test_nothing_of_the_real_benchmarks_is_evaluated_and_trained_on(real_data: Path, tmp_path: Path) -> None:
    made = write_tasks(list(TRAINING_SETS), real_data, tmp_path / "tasks", TasksSettings(share=1))
    for facts in made.facts.values():
        assert facts["read"] == facts["kept"] + sum(facts["dropped"].values())
    assert made.facts["mmlu_pro"]["dropped"]["its question is evaluated"] == 6809
    check_nothing_evaluated(lines_of(tmp_path / "tasks"), real_data)


@pytest.mark.parametrize("task", ["piqa", "squadv2"])
def test_a_cut_divides_everything_and_parts_nothing_that_belongs_together(data: Path, task: str) -> None:
    group = {"piqa": lambda r: r["goal"], "squadv2": lambda r: r["title"]}[task]
    splits = local_splits(task, data)
    assert splits.cut == "half-0"
    sides = [{group(record) for record in splits[name]} for name in (TRAIN, VALIDATION)]
    assert not sides[0] & sides[1]
    total = {"piqa": 40, "squadv2": 42}[task]
    assert len(splits[TRAIN]) + len(splits[VALIDATION]) == total
    assert abs(len(splits[TRAIN]) - total / 2) <= 7
    assert list(local_splits(task, data)[TRAIN]) == list(splits[TRAIN])


def test_a_benchmark_with_its_own_training_split_is_not_cut(data: Path, tmp_path: Path) -> None:
    write_benchmarks(tmp_path)
    for name in ("valid.jsonl", "valid-labels.lst"):
        text = (tmp_path / "eval/piqa" / name).read_text().replace("to do", "to train")
        (tmp_path / "eval/piqa" / name.replace("valid", "train")).write_text(text)
    splits = local_splits("piqa", tmp_path)
    assert (splits.cut, len(splits[TRAIN]), len(splits[VALIDATION])) == ("", 40, 40)
    assert splits.fingerprint != local_splits("piqa", data).fingerprint


def test_the_prompts_are_chats_with_examples_as_turns(data: Path, tmp_path: Path) -> None:
    write_tasks(list(TRAINING_SETS), data, tmp_path / "tasks", TasksSettings(share=1))
    made = lines_of(tmp_path / "tasks")
    row = made["arc"][0]
    assert [turn["role"] for turn in row["messages"]] == ["system", *["user", "assistant"] * 6]
    assert row["messages"][-2]["content"].startswith("What of arc Train 0?\nA. arc Train 0 choice 0\nB. ")
    assert row["messages"][-1]["content"] == "A"
    assert row["prompt"].endswith(f"{row['messages'][-2]['content']}\nAnswer:")
    assert row["answer"] == " A"
    row = next(row for row in made["squadv2"] if row["id"].endswith(".2"))
    shot, question = row["messages"][1]["content"], row["messages"][3]["content"]
    article, paragraph, _ = row["id"].split(".")
    assert shot.startswith(f"Context: Paragraph {article}.{paragraph} says answer 0 and answer 1.\n\nQuestion: What is")
    assert question == f"Question: What is {row['id']}?"
    assert row["messages"][-1]["content"] == "No answer"


def test_mmlu_pro_keeps_the_right_choice_and_three_others(data: Path) -> None:
    for record in local_splits("mmlu_pro", data)["test"]:
        item = item_of("mmlu_pro", record)
        if len(item.choices) < 4:
            continue
        few = fewer_choices(item, 4, 0)
        assert few.choices["ABCD".index(few.answer)] == record["options"][record["answer_index"]]
        assert len(set(few.choices)) == 4
        assert [c for c in record["options"] if c in few.choices] == list(few.choices)
    draws = {fewer_choices(item, 4, seed).choices for seed in range(20)}
    assert len(draws) > 5


def test_examples_depend_on_the_item_and_the_seed_alone(data: Path) -> None:
    items = [item_of("arc_challenge", record) for record in local_splits("arc_challenge", data)[TRAIN]]
    drawn = {item.id: Examples(items, 0).of(item, 5) for item in items}
    again = Examples(items[::-1], 0)
    for item in items[::-1]:
        assert again.of(item, 5) == drawn[item.id]
        assert item not in drawn[item.id]
        assert len({example.id for example in drawn[item.id]}) == 5
    assert any(Examples(items, 1).of(item, 5) != drawn[item.id] for item in items)
    assert sorted(e.id for e in Examples(items, 0).of(items[0], 99)) == sorted(item.id for item in items[1:])


def test_text_and_chat_say_the_same(data: Path) -> None:
    items = [item_of("squadv2", record) for record in local_splits("squadv2", data)[TRAIN]]
    prompt, answer = text_of(items[1], [items[0]])
    for turn in chat_of(items[1], [items[0]]):
        assert turn["content"] in prompt
    assert prompt.endswith("Answer:")
    assert prompt.count("Context: ") == 1
    assert answer == f" {items[1].answer}"


def test_writing_again_changes_nothing_and_another_seed_does(data: Path, tmp_path: Path) -> None:
    first = write_tasks(["arc"], data, tmp_path / "tasks", TasksSettings(share=0.5))
    stamp = (tmp_path / "tasks/arc.jsonl").stat().st_mtime_ns
    assert write_tasks(["arc"], data, tmp_path / "tasks", TasksSettings(share=0.5)).fingerprint == first.fingerprint
    assert (tmp_path / "tasks/arc.jsonl").stat().st_mtime_ns == stamp
    assert write_tasks(["arc"], data, tmp_path / "tasks", TasksSettings(share=0.5, seed=1)).files != first.files


def spoil(data: Path, name: str, text: str) -> None:
    (data / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("task", "name", "text", "message"),
    [
        (
            "arc",
            "eval/arc/ARC-Challenge-Train.jsonl",
            '\n{"id": 1, "question": "?"}',
            "jsonl:2: a field has another type",
        ),
        ("arc", "eval/arc/ARC-Challenge-Train.jsonl", '{"id": 1}\n', "ARC-Challenge-Train.jsonl:1 .*question"),
        ("arc", "eval/arc/ARC-Challenge-Train.jsonl", "\n{broken\n", "jsonl:2.*not valid JSON"),
        ("arc", "eval/arc/ARC-Challenge-Train.jsonl", "[]\n", "not an object"),
        ("arc", "eval/arc/ARC-Challenge-Train.jsonl", "\n", "no records"),
        ("csqa", "eval/commonsenseqa/dev_rand_split.jsonl", "", "no records"),
        ("piqa", "eval/piqa/valid-labels.lst", "0\n1\n", "label"),
        ("piqa", "eval/piqa/valid-labels.lst", "0\n" * 41, "41 labels for 40"),
        ("mmlu_pro", "eval/mmlu/test/anatomy_test.csv", "question,answer\na,0\n", "anatomy_test.csv:2.*choice0"),
        ("mmlu_pro", "eval/mmlu_pro/test.jsonl.xz", "no xz", "damaged"),
        ("squadv2", "eval/squad/some-dev-v2.0.json", '{"data": [{}]}', "paragraphs.*a field is missing"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path: Path, task: str, name: str, text: str, message: str) -> None:
    spoil(write_benchmarks(tmp_path), name, text)
    with pytest.raises(UserError, match=message):
        write_tasks([task], tmp_path, tmp_path / "tasks", TasksSettings(share=1))
    assert not (tmp_path / "tasks").exists()


def test_a_right_answer_that_is_no_choice_is_refused(tmp_path: Path) -> None:
    write_benchmarks(tmp_path)
    row = {**choices_row("arc", 4, 0), "answerKey": "E"}
    write_lines(tmp_path / "eval/arc/ARC-Challenge-Train.jsonl", [row])
    with pytest.raises(UserError, match="answerKey"):
        write_tasks(["arc"], tmp_path, tmp_path / "tasks", TasksSettings(share=1))


def test_a_file_of_questions_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.jsonl: cannot be read"):
        list(read_multiple_choice(tmp_path / "none.jsonl"))


def test_unknown_sets_and_missing_files_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no training set 'glue'"):
        write_tasks(["arc", "glue"], data, tmp_path / "tasks", TasksSettings())
    with pytest.raises(UserError, match="no files of"):
        write_tasks(["arc"], tmp_path, tmp_path / "tasks", TasksSettings())
    # MMLU-Pro without MMLU could not be filtered.
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval/mmlu_pro").symlink_to(data / "eval/mmlu_pro")
    with pytest.raises(UserError, match="no files of mmlu "):
        write_tasks(["mmlu_pro"], tmp_path, tmp_path / "tasks", TasksSettings())
    assert all(benchmark.hub for benchmark in BENCHMARKS.values())
