import json

from slt.data.manifest import Clip, write_manifest
from tests.bundles import write_clip


def test_two_encoders_on_one_manifest(slt, bundle, own_bundle, tmp_path):
    clips = []
    for number, text in enumerate(("we go hiking", "is the weather nice", "we go")):
        write_clip(tmp_path / f"{number}.mp4", seed=number)
        clips.append(Clip(id=str(number), video=f"{number}.mp4", text=text, lang="eng_Latn"))
    write_manifest(tmp_path / "m.tsv", [*clips, Clip(id="gone", video="no.mp4", text="we", lang="eng_Latn")])
    words = ("--manifest", tmp_path / "m.tsv", "--out", tmp_path / "out", "--device", "cpu", "--resamples", 20)
    outcome = slt("compare-embeddings", "--model", bundle, "--model", own_bundle, *words)
    assert outcome.code == 0
    assert "1 clips that some model could not read were excluded: gone" in outcome.err
    found = json.loads((tmp_path / "out" / "embeddings.json").read_text("utf-8"))
    assert found["n"] == 3
    assert found["left_out"] == ["gone"]
    assert set(found["scores"]) == {"1-tiny", "2-tiny"}
    assert found["agreement"]["2-tiny"]["cosine"] > 0.999  # a copy of the same weights
    assert (tmp_path / "out" / "projection.svg").is_file()


def test_one_model_is_not_enough(slt, bundle, tmp_path):
    outcome = slt("compare-embeddings", "--model", bundle, "--manifest", tmp_path / "m.tsv", "--out", tmp_path)
    assert outcome.code == 2
    assert "found one model, expected at least two to compare" in outcome.err


def test_stored_features_serve_all_models(slt, bundle, own_bundle, tmp_path):
    clips = [Clip(id=str(n), video=f"{n}.mp4", text=text, lang="eng_Latn") for n, text in enumerate(("we go", "we"))]
    for number in range(2):
        write_clip(tmp_path / f"{number}.mp4", seed=number)
    write_manifest(tmp_path / "m.tsv", clips)
    store = tmp_path / "store"
    assert slt("extract-features", tmp_path / "m.tsv", "--model", bundle, "--device", "cpu", "--out", store).code == 0
    (tmp_path / "0.mp4").unlink()
    words = ("compare-embeddings", "--model", bundle, "--model", own_bundle, "--manifest", tmp_path / "m.tsv")
    words += ("--out", tmp_path / "out", "--device", "cpu", "--resamples", 20, "--features", store)
    assert slt(*words).code == 0
    found = json.loads((tmp_path / "out" / "embeddings.json").read_text("utf-8"))
    assert (found["n"], found["left_out"]) == (2, [])
    outcome = slt(*words, "--features", store, "--features", store)
    assert outcome.code == 2
    assert "3 stores of features for 2 models" in outcome.err
