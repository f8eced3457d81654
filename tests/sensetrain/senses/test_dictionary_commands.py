"""Dictionaries made from dictionaries, and what `verify` says of broken ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

from lexgraph.common.errors import UserError
from lexgraph.common.files import sha256_of
from sensetrain.artefacts.manifest import Manifest
from sensetrain.cli.main import cli
from sensetrain.models.folder import ModelFolder
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.dictionary.edit import convert, merge, subset, token_ids
from sensetrain.senses.dictionary.files import FILE, MANIFEST
from sensetrain.senses.dictionary.verify import verify
from sensetrain.senses.words.word_tokens import ids_of_words


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["dictionary", *map(str, arguments)])


def with_senses(path: Path) -> list[int]:
    return torch.nonzero(SenseDictionary.load(path).counts()).flatten().tolist()


def senses_of(dictionary: SenseDictionary, token: int) -> list[torch.Tensor]:
    mine = slice(int(dictionary.offsets[token]), int(dictionary.offsets[token + 1]))
    return [getattr(dictionary, name)[mine] for name in ("rows", "sizes", "inertia", "examples")]


def same_senses(one: SenseDictionary, other: SenseDictionary, token: int) -> bool:
    return all(torch.equal(a, b) for a, b in zip(senses_of(one, token), senses_of(other, token), strict=True))


def rewritten(source: Path, out: Path, **changes: object) -> Path:
    """A copy of a dictionary with a manifest whose settings and inputs say something else, and whose hash fits."""
    out.mkdir()
    (out / FILE).write_bytes((source / FILE).read_bytes())
    resealed(out, json.loads((source / MANIFEST).read_text(encoding="utf-8")), **changes)
    return out


def resealed(folder: Path, raw: dict, **changes: object) -> None:
    for name, value in changes.items():
        section, key = name.split("__")
        raw[section][key] = value
    raw.pop("fingerprint")
    raw["files"] = {FILE: sha256_of(folder / FILE)}
    raw["bytes"] = {FILE: (folder / FILE).stat().st_size}
    (folder / MANIFEST).write_text(json.dumps(raw | {"fingerprint": Manifest(**raw).fingerprint}), encoding="utf-8")


def test_subsets_merge_to_the_whole(line, tmp_path: Path) -> None:
    tokens = with_senses(line.senses)
    subset(line.senses, tmp_path / "odd", tokens[1::2])
    subset(line.senses, tmp_path / "even", tokens[::2])
    merge(tmp_path / "odd", tmp_path / "even", tmp_path / "both")
    whole, both = load_file(line.senses / FILE), load_file(tmp_path / "both" / FILE)
    assert set(whole) == set(both)
    for name in set(whole) - {"spread"}:  # each half has the spread of all states
        assert torch.equal(whole[name], both[name]), name
    assert verify(tmp_path / "both") == []
    manifest = SenseDictionary.load(tmp_path / "both").manifest
    assert manifest
    parts = [SenseDictionary.load(tmp_path / name).manifest for name in ("odd", "even")]
    assert [manifest.inputs["first"], manifest.inputs["second"]] == [part.fingerprint for part in parts if part]
    assert manifest.settings["state_of"] == "next"


def test_a_subset_has_the_tokens_asked_for_and_no_others(line, tmp_path: Path) -> None:
    whole, tokens = SenseDictionary.load(line.senses), with_senses(line.senses)
    without = next(v for v in range(whole.vocabulary) if v not in tokens)
    made = subset(line.senses, tmp_path / "few", [tokens[5], tokens[2], tokens[5], without])
    few = SenseDictionary.load(tmp_path / "few", inputs={"teacher": line.teacher.fingerprint})
    assert with_senses(tmp_path / "few") == [tokens[2], tokens[5]]
    assert all(same_senses(few, whole, token) for token in (tokens[2], tokens[5]))
    assert few.vocabulary == whole.vocabulary
    assert (made.facts["wanted"], made.facts["without_senses"]) == (3, 1)
    assert whole.manifest
    assert made.inputs["senses"] == whole.manifest.fingerprint


def test_overlapping_tokens_are_refused_unless_one_side_is_preferred(line, tmp_path: Path) -> None:
    convert(line.senses, tmp_path / "half", "bf16")
    convert(tmp_path / "half", tmp_path / "rounded", "fp32")
    exact, rounded = SenseDictionary.load(line.senses), SenseDictionary.load(tmp_path / "rounded")
    # States that were computed in bf16 and stand alone are not changed by rounding.
    tokens = sorted(with_senses(line.senses), key=lambda token: same_senses(rounded, exact, token))
    assert not same_senses(rounded, exact, tokens[9])
    subset(tmp_path / "rounded", tmp_path / "first", tokens[:10])
    with pytest.raises(UserError, match=rf"10 tokens have senses in .*first, too; the first is {min(tokens[:10])}"):
        merge(tmp_path / "first", line.senses, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    made = merge(tmp_path / "first", line.senses, tmp_path / "out", prefer="first")
    out = SenseDictionary.load(tmp_path / "out")
    assert all(same_senses(out, rounded, token) for token in tokens[:10])
    assert all(same_senses(out, exact, token) for token in tokens[10:])
    assert made.facts["overlapping"] == 10


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"inputs__teacher": "another"}, "inputs.teacher"),
        ({"inputs__tokenizer": "another"}, "inputs.tokenizer"),
        ({"settings__state_of": "same"}, "settings.state_of"),
        ({"settings__dtype": "bf16"}, "settings.dtype"),
    ],
)
def test_what_does_not_belong_together_is_not_merged(change: dict, field: str, line, tmp_path: Path) -> None:
    other = rewritten(line.senses, tmp_path / "other", **change)
    with pytest.raises(UserError) as caught:
        merge(line.senses, other, tmp_path / "out", prefer="first")
    assert caught.value.field == field
    assert not (tmp_path / "out").exists()


def test_examples_of_other_tokens_are_left_out(line, tmp_path: Path) -> None:
    other = rewritten(line.senses, tmp_path / "other", inputs__tokens="another")
    merge(line.senses, other, tmp_path / "out", prefer="first")
    out = SenseDictionary.load(tmp_path / "out")
    assert (out.examples == -1).all()
    assert out.manifest
    assert "tokens" not in out.manifest.inputs


def test_the_spread_of_a_merger_is_that_of_all_states(line, tmp_path: Path) -> None:
    """Two dictionaries in which every state is a sense of its own, so that the states are known."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(40, 32, generator=generator) * 3 + torch.randn(32, generator=generator)
    states[25:] += 5
    for name, mine, rows in (("a", range(25), states[:25]), ("b", range(25, 40), states[25:])):
        counts = torch.tensor([int(v in mine) for v in range(700)])
        folder = tmp_path / name
        folder.mkdir()
        tensors = {
            "rows": rows,
            "offsets": torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)]),
            "sizes": torch.ones(len(rows), dtype=torch.int32),
            "inertia": torch.zeros(len(rows)),
            "spread": rows.std(0, correction=0),
            "examples": torch.full((len(rows), 4, 2), -1),
        }
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / FILE)
        resealed(folder, json.loads((line.senses / MANIFEST).read_text(encoding="utf-8")))
    merge(tmp_path / "a", tmp_path / "b", tmp_path / "out")
    torch.testing.assert_close(SenseDictionary.load(tmp_path / "out").spread, states.std(0, correction=0))


def test_conversion_rounds_once(line, tmp_path: Path) -> None:
    convert(line.senses, tmp_path / "half", "bf16")
    convert(tmp_path / "half", tmp_path / "back", "fp32")
    exact, half, back = (SenseDictionary.load(p) for p in (line.senses, tmp_path / "half", tmp_path / "back"))
    assert torch.equal(half.rows, exact.rows.bfloat16())
    assert torch.equal(back.rows, half.rows.float())
    assert torch.equal(back.spread, exact.spread)
    assert [verify(tmp_path / name) for name in ("half", "back")] == [[], []]


def test_a_dictionary_does_not_replace_itself(line, tmp_path: Path) -> None:
    """A subset or rounded rows in the place of the whole would be a loss."""
    senses = rewritten(line.senses, tmp_path / "senses")
    (tmp_path / "link").symlink_to(senses)
    for make in (
        lambda out: convert(senses, out, "bf16"),
        lambda out: subset(senses, out, [1]),
        lambda out: merge(line.senses, senses, out, prefer="first"),
    ):
        for out in (senses, tmp_path / "link"):
            with pytest.raises(UserError, match="the result would replace what it is made from"):
                make(out)
    assert (senses / FILE).read_bytes() == (line.senses / FILE).read_bytes()


def test_a_whole_dictionary_has_no_faults(line) -> None:
    assert verify(line.senses) == []
    done = call("verify", line.senses)
    assert done.exit_code == 0
    assert f"{len(SenseDictionary.load(line.senses).rows):,}" in done.output


def nan(tensors: dict) -> None:
    tensors["rows"][7, 3] = torch.nan
    tensors["rows"][9, 1] = torch.inf


FAULTS: dict[str, tuple[Callable[[dict], object], str, str]] = {
    "a number that is none": (nan, "rows", r"nan in row 7 \(token \d+\), dimension 3 and 1 more"),
    "falling offsets": (
        lambda t: t["offsets"].__setitem__(9, 10**6),
        "offsets",
        r"fall from 1000000 to \d+ at token 9",
    ),
    "offsets from 1": (lambda t: t["offsets"].__setitem__(0, 1), "offsets", "begin at 1"),
    "an empty sense": (lambda t: t["sizes"].__setitem__(4, 0), "sizes", "a sense without a state: at 4"),
    "a negative inertia": (lambda t: t["inertia"].__setitem__(2, -1.0), "inertia", "negative or not finite: at 2"),
    "a spread that is none": (lambda t: t["spread"].__setitem__(0, torch.nan), "spread", "at 0"),
    "a wrong example": (lambda t: t["examples"].__setitem__((3, 0, 0), -2), "examples", "below -1: at 3"),
    "a state too many": (lambda t: t["sizes"].__setitem__(4, 500), "facts.states", r"says \d+, there are \d+"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_verify_names_the_field_and_the_place(name: str, line, tmp_path: Path) -> None:
    change, field, what = FAULTS[name]
    tensors = load_file(line.senses / FILE)
    change(tensors)
    save_file(tensors, tmp_path / FILE)
    raw = json.loads((line.senses / MANIFEST).read_text(encoding="utf-8"))
    (tmp_path / MANIFEST).write_text(json.dumps(raw), encoding="utf-8")
    assert verify(tmp_path)[0].field == f"files.{FILE}"
    resealed(tmp_path, raw)  # someone who changes a number can mend the hash, too
    faults = verify(tmp_path)
    assert f"files.{FILE}" not in [fault.field for fault in faults]
    assert any(fault.field == field and re.search(what, fault.what) for fault in faults), faults
    done = call("verify", tmp_path)
    assert isinstance(done.exception, UserError)
    assert field in done.output


def test_a_truncated_file_is_named(line, tmp_path: Path) -> None:
    other = rewritten(line.senses, tmp_path / "other")
    whole = (other / FILE).read_bytes()
    (other / FILE).write_bytes(whole[:-1])
    faults = verify(other)
    assert [fault.field for fault in faults] == [f"files.{FILE}", f"bytes.{FILE}"]
    assert "cut off" in faults[1].what


def test_files_and_words_name_tokens(line, tmp_path: Path, other_teacher: ModelFolder) -> None:
    (tmp_path / "ids").write_text("3\n\n 17 \n", encoding="utf-8")
    assert token_ids(tmp_path / "ids") == [3, 17]
    (tmp_path / "bad").write_text("3\n-4\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"bad:2: not a token id: '-4'"):
        token_ids(tmp_path / "bad")
    tokenizer = line.teacher.tokenizer()
    expected = tokenizer(" water", add_special_tokens=False)["input_ids"]
    assert ids_of_words(line.senses, ["water ", ""], other_teacher) == expected, "the tokenizer alone matters"
    with pytest.raises(UserError, match=r"inputs\.tokenizer"):
        ids_of_words(rewritten(line.senses, tmp_path / "o", inputs__tokenizer="x"), ["water"], line.teacher)


def test_the_commands_say_what_they_made(line, tmp_path: Path) -> None:
    done = call("subset", line.senses, "--words", "the,and", "--teacher", line.teacher.path, "--out", tmp_path / "s")
    assert done.exit_code == 0, done
    assert with_senses(tmp_path / "s") == sorted(
        {*ids_of_words(line.senses, ["the", "and"], line.teacher)} & {*with_senses(line.senses)}
    )
    done = call("convert", tmp_path / "s", "--dtype", "bf16", "--out", tmp_path / "c")
    assert done.exit_code == 0, done
    assert call("merge", tmp_path / "c", tmp_path / "c", "--prefer", "first", "--out", tmp_path / "m").exit_code == 0
    assert "rows" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["subset", "S", "--out", "out"], "no tokens named"),
        (["subset", "S", "--tokens", "none", "--out", "out"], "none: cannot be read"),
        (["subset", "S", "--tokens", "far", "--out", "out"], "token 99999999 is not one of 700"),
        (["subset", "S", "--tokens", "empty", "--out", "out"], "none of these tokens has senses"),
        (["verify", "nowhere"], "sensetrain cluster"),
        (["merge", "S", "nowhere", "--out", "out"], "sensetrain cluster"),
    ],
)
def test_bad_input_is_a_clear_message(arguments, message, line, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("far").write_text("99999999", encoding="utf-8")
    Path("empty").write_text("", encoding="utf-8")
    Path("S").symlink_to(line.senses)
    done = call(*arguments)
    assert isinstance(done.exception, UserError), done.exception
    assert message in str(done.exception)
    assert not Path("out").exists()
