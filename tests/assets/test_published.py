"""What can be fetched, from where, how big it is and under which licence."""

import pytest

from slt.assets.published import PUBLISHED, address, files_folder, find_published, is_fetched
from slt.core.errors import UserError
from slt.core.home import slt_home

MODEL = PUBLISHED["sonar-asl"]


def test_translating_needs_four_files_of_about_7_gb():
    needed = MODEL.choose(text_encoder=False)
    assert len(needed) == 4
    assert 6.6e9 < sum(file.about_bytes for file in needed) < 6.8e9
    assert {file.name for file in MODEL.files} - {file.name for file in needed} == {"sonar_text_encoder.pt"}
    assert MODEL.choose(text_encoder=True) == MODEL.files


def test_each_file_keeps_its_published_name_and_comes_encrypted():
    for file in MODEL.files:
        assert file.url.startswith("https://dl.fbaipublicfiles.com/SONAR/")
        assert file.url.endswith(f"/{file.name}")
        assert file.smallest_bytes < file.about_bytes / 2  # half precision passes
    assert MODEL.licence == "CC-BY-NC-4.0"
    assert "not for commercial use" in MODEL.notice


def test_a_mirror_holds_the_same_paths(monkeypatch):
    file = MODEL.files[0]
    assert address(file) == file.url
    expected = "https://mirror.example:8443/public/SONAR/asl/dm_70h_ub_signhiera.pth"
    assert address(file, "https://mirror.example:8443/public/") == expected
    monkeypatch.setenv("SLT_MIRROR", "https://mirror.example:8443/public")
    assert address(file) == expected
    assert address(file, "") == file.url


def test_the_files_lie_in_the_one_folder_for_all():
    assert files_folder("sonar-asl") == slt_home() / "files" / "sonar-asl"
    assert not is_fetched("sonar-asl")
    files_folder("sonar-asl").mkdir(parents=True)
    for file in MODEL.choose(text_encoder=False):
        assert not is_fetched("sonar-asl")
        (files_folder("sonar-asl") / file.name).touch()
    assert is_fetched("sonar-asl")


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="'sonar-als' cannot be fetched; what can be: sonar-asl") as caught:
        find_published("sonar-als")
    assert caught.value.fix == "did you mean sonar-asl?"
    assert find_published("sonar-asl") is MODEL


def test_a_judge_of_translations_can_be_fetched():
    files = find_published("blaser").choose(text_encoder=False)
    assert [address(file, "https://mirror.example") for file in files] == [
        "https://mirror.example/facebook/blaser-2.0-ref/resolve/main/model.pt",
        "https://mirror.example/facebook/blaser-2.0-qe/resolve/main/model.pt",
    ]
