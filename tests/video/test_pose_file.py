from __future__ import annotations

import numpy as np
import pytest

from slt.core.errors import UserError
from slt.video.cache import CachedVideo
from slt.video.decode import open_video
from slt.video.keypoints import PoseFile, find_keypoints, write_pose
from slt.video.pose_file import keypoints_of, open_with_pose, pose_beside
from slt.video.rate import to_working_rate
from tests.video.films import write_film


@pytest.fixture
def pose(tmp_path):
    """Make a `.pose` file whose first joint counts its frames."""

    def made(n_frames, fps=25.0, name="a.pose"):
        joints = np.zeros((n_frames, 75, 3), np.float32)
        joints[:, 0, 0] = np.arange(n_frames) / 1000
        joints[:, 60] = np.nan
        write_pose(tmp_path / name, PoseFile(keypoints=joints, fps=fps, height=1000, width=1000))
        return tmp_path / name

    return made


def numbers(video):
    return [round(1000 * float(row[0])) for row in keypoints_of(video)]


def test_a_pose_file_is_a_video_without_pictures(pose):
    video = open_with_pose(pose(50))
    assert (video.info.fps, video.info.n_frames, video.info.height) == (25, 50, 1000)
    rows = np.stack(list(keypoints_of(video)))
    assert (rows.shape, rows.dtype) == ((50, 225), np.float32)
    assert np.isnan(rows[:, 180:183]).all()
    assert np.isfinite(rows[:, :180]).all()
    with pytest.raises(UserError, match=r"a\.pose holds keypoints and no pictures"):
        next(video.frames())


def test_a_span_has_the_rows_it_shows(pose):
    assert numbers(open_with_pose(pose(50), 0.4, 1.0)) == list(range(10, 25))
    assert numbers(open_with_pose(pose(50), None, 0.2)) == list(range(5))
    assert numbers(open_with_pose(pose(50), 1.8, None)) == list(range(45, 50))
    with pytest.raises(UserError, match=r"a\.pose has no keypoints from 3 to 4 s"):
        open_with_pose(pose(50), 3, 4)


def test_rates_outside_the_usual_are_brought_to_it(pose):
    assert numbers(to_working_rate(open_with_pose(pose(30, fps=30)))) == list(range(30))
    fast = to_working_rate(open_with_pose(pose(100, fps=50)))
    assert numbers(CachedVideo(fast)) == list(range(1, 100, 2))
    assert fast.info.n_frames == 50
    assert "runs at 50 frames per second" in fast.warnings[0]
    assert numbers(to_working_rate(open_with_pose(pose(40, fps=10)))) == sorted([*range(40)] * 2 + [*range(1, 40, 2)])


def test_with_its_video_it_has_pictures_too_and_each_their_own_rate(pose, tmp_path):
    film = write_film(tmp_path / "film.mp4", n=20)
    video = open_with_pose(film, 0.2, 0.6, pose=pose(24, fps=30))
    assert (video.info.fps, video.info.path) == (25, film)
    assert numbers(video) == list(range(6, 18))
    assert len(list(video.frames())) == 10
    assert video.warnings == []


def test_rates_of_joints_and_pictures_are_brought_to_the_usual_each_by_itself(pose, tmp_path):
    film = write_film(tmp_path / "film.mp4", n=20)
    assert numbers(open_with_pose(film, 0.2, 0.6, pose=pose(40, fps=50))) == list(range(11, 30, 2))
    fast = write_film(tmp_path / "fast.mp4", n=40, fps=50)
    video = open_with_pose(fast, pose=pose(24, fps=30))
    assert to_working_rate(video) is video
    assert numbers(video) == list(range(24))
    assert (video.info.fps, len(list(video.frames()))) == (25, 20)
    assert "runs at 50 frames per second" in video.warnings[0]


def test_joints_of_another_length_are_refused(pose, tmp_path):
    film = write_film(tmp_path / "film.mp4", n=20)
    assert numbers(open_with_pose(film, pose=pose(23))) == list(range(23))
    for pictures in (True, False):
        with pytest.raises(UserError, match=r"a\.pose has keypoints for 1\.60 s of .*film\.mp4, which lasts 0\.80 s"):
            open_with_pose(film, pose=pose(40), pictures=pictures)
        with pytest.raises(UserError, match=r"keypoints for 0\.40 s of .*film\.mp4, which lasts 0\.80 s"):
            open_with_pose(film, pose=pose(10), pictures=pictures)
        with pytest.raises(UserError, match=r"keypoints for 0\.08 s of .*film\.mp4, which lasts 0\.40 s"):
            open_with_pose(film, 0.4, 3.0, pose=pose(12), pictures=pictures)


def test_where_pictures_are_not_looked_at_joints_keep_their_rate_and_need_no_video(pose, tmp_path):
    film = write_film(tmp_path / "film.mp4", n=20)
    video = open_with_pose(film, pose=pose(40, fps=50), pictures=False)
    assert (video.info.fps, video.info.n_frames) == (50, 40)
    assert numbers(open_with_pose(tmp_path / "gone.mp4", pose=pose(40), pictures=False)) == list(range(40))


def test_a_pose_file_beside_a_video_has_its_name(pose, tmp_path):
    beside = pose(3)
    assert pose_beside(tmp_path / "a.mp4") == beside
    assert pose_beside(tmp_path / "b.mp4") is None
    assert pose_beside(beside) is None
    frames = tmp_path / "a.b"
    frames.mkdir()
    assert pose_beside(frames) is None
    assert pose(3, name="a.b.pose") == pose_beside(frames)


def test_joints_nobody_knows_are_looked_for(tmp_path):
    film = write_film(tmp_path / "film.mp4", n=3)
    video = open_with_pose(film)
    assert video.joints() is None
    np.testing.assert_array_equal(
        np.stack(list(keypoints_of(video))), find_keypoints(open_video(film).frames()).reshape(3, -1)
    )
