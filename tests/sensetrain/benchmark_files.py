"""Small benchmark files of our own, in the layout of a data folder."""

from __future__ import annotations

import csv
import json
import lzma
from pathlib import Path

LETTERS = "ABCDEFGHIJ"


def write_lines(file: Path, rows: list[dict], opener=open) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with opener(file, "wt", encoding="utf-8") as handle:
        handle.writelines(json.dumps(row) + "\n" for row in rows)


def choices_row(name: str, count: int, answer: int, labels: str = LETTERS) -> dict:
    choices = [{"text": f"{name} choice {i}", "label": labels[i]} for i in range(count)]
    return {"id": name, "question": {"stem": f"What of {name}?", "choices": choices}, "answerKey": labels[answer]}


def write_benchmarks(data: Path) -> Path:
    """Write a few items of every benchmark, in the splits that the real folder has."""
    arc = {"Train": 30, "Dev": 8, "Test": 12}
    for split, count in arc.items():
        rows = [choices_row(f"arc {split} {i}", 4 - (i == 2), i % 3) for i in range(count)]
        if split == "Test":
            rows[1] = choices_row("arc digits", 4, 3, "1234")
        write_lines(data / f"eval/arc/ARC-Challenge-{split}.jsonl", rows)
    for split, count in {"train": 20, "dev": 10}.items():
        rows = [choices_row(f"csqa {split} {i}", 5, i % 5) for i in range(count)]
        write_lines(data / f"eval/commonsenseqa/{split}_rand_split.jsonl", rows)
    goals = [{"goal": f"to do {i // 2}", "sol1": f"way {i}", "sol2": f"no way {i}"} for i in range(40)]
    write_lines(data / "eval/piqa/valid.jsonl", goals)
    (data / "eval/piqa/valid-labels.lst").write_text("".join(f"{i % 2}\n" for i in range(40)), encoding="utf-8")
    for subject in ("anatomy", "virology"):
        for split, count in {"dev": 5, "test": 9}.items():
            file = data / f"eval/mmlu/{split}/{subject}_{split}.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("w", encoding="utf-8", newline="") as handle:
                writer = csv.writer(handle)
                writer.writerow(["question", *(f"choice{i}" for i in range(4)), "answer"])
                for i in range(count):
                    writer.writerow([f"{subject} {split}, {i}?", *(f"{subject} {i}.{j}" for j in range(4)), i % 4])
    pro = [
        {
            "question_id": i,
            "question": f"pro {i}",
            "options": [f"pro {i} option {j}" for j in range(10 - i % 3)],
            "answer_index": i % 7,
            "category": "law" if i % 2 else "math",
            "src": "stemez-law",
        }
        for i in range(20)
    ]
    pro[3]["question"] = "Anatomy TEST 4"
    pro[4]["src"] = "ori_mmlu-anatomy"
    pro[5]["options"], pro[5]["answer_index"] = ["one", "two", "three"], 1
    file = data / "eval/mmlu_pro/test.jsonl.xz"
    write_lines(file, pro, lzma.open)
    articles = []
    for a in range(6):
        paragraphs = []
        for p in range(3):
            asked = [
                {
                    "id": f"{a}.{p}.{q}",
                    "question": f"What is {a}.{p}.{q}?",
                    "answers": [] if q == 2 else [{"text": f"answer {q}", "answer_start": 3}] * 2,
                }
                for q in range(1 if p == 2 else 3)
            ]
            paragraphs.append({"context": f"Paragraph {a}.{p} says answer 0 and answer 1.", "qas": asked})
        articles.append({"title": f"Article {a}", "paragraphs": paragraphs})
    file = data / "eval/squad/some-dev-v2.0.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"version": "v2.0", "data": articles}), encoding="utf-8")
    pages = "".join(f" \n = Title {i} = \n \n The {i} lines . \n = = Part = = \n More of it . \n" for i in range(3))
    for split in ("valid", "test"):
        file = data / f"corpora/wikitext-2/{split}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(pages, encoding="utf-8")
    return data
