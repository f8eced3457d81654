"""WikiText-2 (Merity et al. 2017), an article a record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sensetrain.text.tasks.benchmark import TEST, VALIDATION, Benchmark, Record


def _read(file: Path) -> Iterator[Record]:
    """One page per article, divided as the hub's document-level WikiText is: at headings with one `=`."""
    page: list[str] = []
    for line in file.read_text(encoding="utf-8-sig").split("\n"):
        heading = line.replace("= = =", "===").replace("= =", "==").strip()
        if heading.startswith("= ") and heading.endswith(" ="):
            if "".join(page).strip():
                yield {"page": "\n".join(page)}
            page = []
        page.append(line)
    if "".join(page).strip():
        yield {"page": "\n".join(page)}


BENCHMARK = Benchmark(
    name="wikitext",
    hub="EleutherAI/wikitext_document_level:wikitext-2-raw-v1",
    files={VALIDATION: "corpora/wikitext-2/valid.txt", TEST: "corpora/wikitext-2/test.txt"},
    read=_read,
    evaluated={"harness": TEST, "paper": TEST},
    harness_folder="wikitext",
)
