import numpy as np
import pytest

from slt.core.errors import UserError
from slt.data.embeddings import EmbeddingCache, embedding_writer, text_id
from slt.data.features.header import StoreHeader
from slt.data.features.writer import FeatureWriter

HASH = "ab" * 32


def cache(folder, texts):
    with embedding_writer(folder, weights_sha256=HASH, width=4) as writer:
        for i, (text, lang) in enumerate(texts):
            writer.add(text_id(text, lang), np.full((1, 4), i, np.float32))
    return EmbeddingCache.open(folder)


def test_embeddings_are_found_by_text_and_language(tmp_path):
    found = cache(tmp_path / "c", [("Hallo", "deu_Latn"), ("hello", "eng_Latn"), ("hello", "deu_Latn")])
    got = found.get(["hello", "Hallo", "hello"], ["deu_Latn", "deu_Latn", "eng_Latn"])
    np.testing.assert_array_equal(got[:, 0], [2, 0, 1])
    assert got.dtype == np.float32
    assert got.shape == (3, 4)
    assert found.get([], []).shape == (0, 4)
    assert len(found) == 3
    assert ("hello", "eng_Latn") in found
    assert ("Hallo", "eng_Latn") not in found


def test_what_is_not_there_is_named_with_the_command_that_makes_it(tmp_path):
    found = cache(tmp_path / "c", [("hello", "eng_Latn")])
    with pytest.raises(UserError, match="lacks the embeddings of 1 of 2 texts, the first of them 'Hello' in") as error:
        found.get(["hello", "Hello"], ["eng_Latn", "eng_Latn"])
    assert error.value.fix == f"slt embed-text MANIFEST --model MODEL --out {tmp_path / 'c'}"


def test_the_embeddings_of_another_model_are_refused(tmp_path):
    cache(tmp_path / "c", [("hello", "eng_Latn")])
    assert EmbeddingCache.open(tmp_path / "c", weights_sha256=HASH)
    with pytest.raises(UserError, match="weights abababababab, wanted cdcdcdcdcdcd"):
        EmbeddingCache.open(tmp_path / "c", weights_sha256="cd" * 32)
    with pytest.raises(UserError, match="another kind: weights_sha256"):
        embedding_writer(tmp_path / "c", weights_sha256="cd" * 32, width=4)


def test_features_are_no_embeddings(tmp_path):
    FeatureWriter(tmp_path / "s", StoreHeader(feature_dim=4, dtype="float32", extractor="signhiera")).close()
    with pytest.raises(UserError, match="extractor signhiera, wanted sonar-text"):
        EmbeddingCache.open(tmp_path / "s")
