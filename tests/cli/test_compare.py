import json
from dataclasses import asdict

import pytest


@pytest.fixture
def scored(slt, tmp_path):
    """Write results of these texts against "one two three four five" and so on; returns their folder."""

    def score(name, *said, signed=("one two three four five", "six seven eight nine", "ten eleven twelve")):
        for file, lines in (("said", said), ("signed", signed)):
            (tmp_path / f"{file}.txt").write_text("\n".join(lines) + "\n", "utf-8")
        files = ("--hyp", tmp_path / "said.txt", "--ref", tmp_path / "signed.txt")
        assert slt("evaluate", *files, "--name", name, "--out", tmp_path / name, "--resamples", 50).code == 0
        return tmp_path / name

    return score


def test_systems_stand_side_by_side(slt, scored, tmp_path):
    zero = scored("zero", "one two three", "six seven eight nine", "eleven")
    tuned = scored("tuned", "one two three four five", "six seven", "ten eleven twelve")
    outcome = slt("compare", zero / "results.json", tuned, "--out", tmp_path / "both", "--trials", 200)
    assert outcome.code == 0
    assert "3 clips" in outcome.out
    assert "improved most, by chrF++" in outcome.out
    assert "worsened most, by chrF++" in outcome.out
    rows = json.loads((tmp_path / "both" / "translations.json").read_text("utf-8"))
    assert rows[0]["zero"] == "one two three"
    assert rows[0]["tuned"] == "one two three four five"
    found = json.loads(slt("compare", zero, tuned, "--json", "--trials", 200).out)
    assert found == json.loads((tmp_path / "both" / "comparison.json").read_text("utf-8"))
    assert [one["metric"] for one in found["contrasts"]] == ["bleu4", "chrf++", "rouge_l_coco", "ter"]
    for one in found["contrasts"]:
        assert one["difference"]["value"] == pytest.approx(one["value"] - one["baseline"])
        assert 0 < one["difference"]["p_randomisation"] <= 1
    assert {one["id"] for one in found["better"]} == {"1", "3"}
    assert [one["id"] for one in found["worse"]] == ["2"]


def test_equal_names_are_numbered_and_metrics_can_be_chosen(slt, scored):
    one = scored("one", "one two", "six", "ten")
    found = json.loads(slt("compare", one, one, one, "--metrics", "meteor", "--json", "--trials", 50).out)
    assert found["systems"] == ["one", "one (2)", "one (3)"]
    assert [(c["system"], c["metric"]) for c in found["contrasts"]] == [("one (2)", "meteor"), ("one (3)", "meteor")]


def test_other_clips_references_or_languages_are_refused(slt, scored, tmp_path):
    one = scored("one", "a", "b", "c")
    longer = scored("longer", "a", "b", signed=("one two three four five", "six seven eight nine"))
    other = scored("other", "a", "b", "c", signed=("one two three four five", "six", "ten eleven twelve"))
    refused = slt("compare", one, longer)
    assert refused.code == 2
    assert "one was scored on 3 clips and longer on 2, expected the same; 1 are not in both: 3" in refused.err
    assert "differ in 1 references: 2" in slt("compare", one, other).err
    assert "found one system, expected at least two to compare" in slt("compare", one).err
    results = json.loads((one / "results.json").read_text("utf-8"))
    (tmp_path / "german.json").write_text(json.dumps(results | {"lang": "deu_Latn"}), "utf-8")
    assert "one was scored in eng_Latn and one in deu_Latn" in slt("compare", one, tmp_path / "german.json").err


def test_results_are_read_back_as_they_were(scored):
    from slt.evaluate.results import read_results, write_results

    folder = scored("one", "one two", "six", "ten")
    found = read_results(folder)
    write_results(folder / "again", found)
    assert asdict(read_results(folder / "again")) == asdict(found)
