from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from slt.core.errors import UserError
from slt.text.languages import FLORES_200, LANGUAGE_NAMES, check_languages, nearest_languages

DEMO = ("eng_Latn", "deu_Latn")


def test_languages_stand_in_the_order_of_sonars_card() -> None:
    spec = find_spec("sonar")
    assert spec is not None
    card = Path(spec.submodule_search_locations[0]) / "cards/text_sonar_basic_decoder.yaml"

    assert tuple(re.findall(r"^ +- (\w{3}_\w{4})$", card.read_text(), flags=re.MULTILINE)) == FLORES_200


def test_every_language_has_a_name_of_its_own() -> None:
    assert len(set(LANGUAGE_NAMES.values())) == len(LANGUAGE_NAMES) == 202


@pytest.mark.parametrize(
    ("said", "codes"),
    [
        ("english", ["eng_Latn"]),
        ("en", ["eng_Latn"]),
        ("eng", ["eng_Latn"]),
        ("ENG_latn", ["eng_Latn"]),
        ("en-US", ["eng_Latn"]),
        ("Enlgish", ["eng_Latn"]),
        ("eng_Ltn", ["eng_Latn"]),
        ("deutsch", ["deu_Latn"]),
        ("Brazilian Portuguese", ["por_Latn"]),
        ("portugués", ["por_Latn"]),
        ("chinese", ["zho_Hans", "zho_Hant"]),
        ("zh_Hant", ["zho_Hant", "zho_Hans"]),
        ("kurdish", ["ckb_Arab", "kmr_Latn"]),
        ("asl", []),
        ("klingon", []),
        ("", []),
    ],
)
def test_nearest_languages_reads_codes_names_and_misspellings(said: str, codes: list[str]) -> None:
    assert nearest_languages(said, FLORES_200) == codes


def test_every_code_and_name_leads_to_itself() -> None:
    for code, name in LANGUAGE_NAMES.items():
        assert nearest_languages(code.lower(), FLORES_200)[0] == code
        assert code in nearest_languages(name, FLORES_200)


def test_check_languages_keeps_order_and_drops_repetitions() -> None:
    assert check_languages(["deu_Latn", "eng_Latn", "deu_Latn"], DEMO) == ("deu_Latn", "eng_Latn")


@pytest.mark.parametrize(
    ("langs", "message", "fix"),
    [
        (["english"], "unknown language 'english'", "for 'english' try eng_Latn (English)"),
        (["klingon"], "unknown language 'klingon'", "the model supports eng_Latn, deu_Latn"),
        (["fra_Latn"], "this model does not support fra_Latn (French)", "the model supports eng_Latn, deu_Latn"),
        (["en", "xx", "eng_Latn"], "'en'.*; unknown language 'xx'", "try eng_Latn .*; the model supports"),
        ([], "no language given", "at least one of eng_Latn, deu_Latn"),
    ],
)
def test_check_languages_names_the_nearest_known(langs: list[str], message: str, fix: str) -> None:
    with pytest.raises(UserError, match=message.replace("(", r"\(").replace(")", r"\)")) as caught:
        check_languages(langs, DEMO)
    assert re.search(fix.replace("(", r"\(").replace(")", r"\)"), caught.value.fix or "")


def test_a_long_list_of_languages_is_not_told_in_full() -> None:
    with pytest.raises(UserError, match="klingon") as caught:
        check_languages(["klingon"], FLORES_200)
    assert "(202 in all)" in (caught.value.fix or "")


def test_configuration_and_languages_load_no_torch() -> None:
    code = "import sys, slt.text.config, slt.text.decoder; print({'torch', 'fairseq2'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
