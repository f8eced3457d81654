"""Word similarity from the corpora (SKD 4.3): tokenize, plan words, collect, cluster, measure.

`python benchmarks/similarity.py [data] [teacher] [folder] [max_samples] [teacher_tokens]`, by default
`../shared/data minilm similarity-minilm 8000` and no budget of teacher tokens. The text is WikiText-2 (valid and test),
the slice of Wikipedia and the Brown corpus of `data/corpora`, the sets are `data/wordsim`, and Word in Context is
`data/senses/wic`. Each stage that is done is not done again, and collecting goes on where it was interrupted.

Brown comes tagged, a token `word/tag`: tags are taken away, quotation marks and punctuation put where they belong.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path

from lexgraph.common.terminal import print_table, say
from sensetrain.evaluate import similarity, wic
from sensetrain.evaluate.similarity import read_sets, words_of
from sensetrain.models.folder import find_model
from sensetrain.models.settings import ForwardSettings
from sensetrain.pipeline import stages
from sensetrain.senses.settings import ClusterSettings, CollectSettings, PlanSettings
from sensetrain.text.settings import TokenizeSettings


def main(
    data: str = "../shared/data",
    teacher: str = "minilm",
    folder: str = "",
    max_samples: str = "8000",
    teacher_tokens: str = "",
) -> None:
    """Run the line and print the tables."""
    source, out, model = Path(data), Path(folder or f"similarity-{teacher}"), find_model(teacher)
    out.mkdir(parents=True, exist_ok=True)
    words, brown = out / "words.txt", out / "brown.jsonl"
    words.write_text("".join(f"{word}\n" for word in words_of(read_sets(source / "wordsim"))), encoding="utf-8")
    if not brown.exists():
        extract_brown(source / "corpora/brown.zip", brown)
    texts = [source / "corpora/wikitext-2", source / "corpora/enwiki-slice-pages-articles.xml.bz2", brown]
    state_of = "same" if model.is_encoder else "next"
    tokens, plan, states, senses = (out / name for name in ("tokens", "plan", "states", "senses"))
    stages.tokenize_stage(texts, model, tokens, TokenizeSettings(heldout=0.01)).ensure()
    draw = PlanSettings(
        unit="word", state_of=state_of, max_samples=int(max_samples), teacher_tokens=int(teacher_tokens or 0) or None
    )
    made = stages.plan_stage(tokens, plan, draw, model, words).ensure()
    say(f"plan: {json.dumps(dict(made.facts))}")
    stages.collect_stage(tokens, plan, model, states, CollectSettings()).ensure()
    stages.cluster_stage(states, plan, model, senses, ClusterSettings(k=5)).ensure()
    settings = ForwardSettings()
    result = similarity.similarity(senses, source / "wordsim", model, settings, out / "similarity.json")
    print_table(*similarity.table(result))
    print_table(["senses of words", "words"], sorted(result.words.items()))
    found = wic.wic(senses, source / "senses/wic", model, settings, out / "wic.json")
    print_table(["Word in Context", "accuracy"], wic.table(found), title=f"{found.items} items")


def extract_brown(packed: Path, out: Path) -> None:
    """Write the 500 texts of the Brown corpus, a line each."""
    with zipfile.ZipFile(packed) as archive, out.open("w", encoding="utf-8") as file:
        for name in sorted(n for n in archive.namelist() if re.fullmatch(r"brown/c[a-r]\d\d", n)):
            tagged = archive.read(name).decode("utf-8").split()
            text = " ".join(token.rpartition("/")[0] for token in tagged)
            text = re.sub(r"\s*''", '"', re.sub(r"``\s*", '"', text))
            text = re.sub(r"\s+([,.;:?!)])", r"\1", text).replace("( ", "(")
            # Brown closes a sentence with the mark twice where it is no full stop: `??`, `;;`.
            text = re.sub(r"([;:?!])(?:\s*\1)+", r"\1", text)
            file.write(json.dumps({"id": name, "text": text}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
