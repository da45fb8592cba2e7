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


def test_openpose_takes_rate_and_size_from_its_video(tmp_path):
    from slt.video.skeletons import MEDIAPIPE_75, OPENPOSE_137, convert
    from tests.keypoint_layouts import figure, write_openpose

    film = write_film(tmp_path / "film.mp4", n=20, fps=20)
    height, width = open_video(film).info.height, open_video(film).info.width
    points = figure(20)
    folder = write_openpose(tmp_path / "json", "film", points)
    with pytest.raises(UserError, match=r"holds joints of openpose-137, expected those of mediapipe-75: skeletons"):
        open_with_pose(film, pose=folder)
    video = open_with_pose(film, 0.5, 1.0, pose=folder, pictures=False, skeleton="openpose-137")
    assert (video.info.fps, video.info.n_frames, video.warnings) == (20, 10, [])
    (folder / "film_000000000003_keypoints.json").unlink()
    assert open_with_pose(film, pose=folder, skeleton="openpose-137").warnings == (
        ["some frames have no file: nothing is seen in them"]
    )
    wanted = convert(convert(points, MEDIAPIPE_75, OPENPOSE_137), OPENPOSE_137, MEDIAPIPE_75)[10:20]
    wanted[:, :, :2] *= np.array([1280 / width, 720 / height])
    np.testing.assert_allclose(video.joints().reshape(10, 75, 3), wanted, atol=1e-4)


def test_a_segment_of_keypoints_without_a_rate_is_refused(tmp_path):
    from tests.keypoint_layouts import figure, write_npy

    path = write_npy(tmp_path, "a", figure(30))
    video = open_with_pose(path)
    assert (video.info.fps, video.info.n_frames) == (25, 30)
    assert video.warnings == ["keypoints without a frame rate were taken for 25 frames per second"]
    with pytest.raises(UserError, match=r"a\.npy does not say how many frames a second has, and the clip is a segment"):
        open_with_pose(path, 0.4, 1.0)


def test_a_file_without_a_size_has_that_of_its_video(tmp_path):
    from tests.keypoint_layouts import figure, write_npy

    path = write_npy(tmp_path, "a", figure(20))
    film = write_film(tmp_path / "film.mp4", n=20, size=(36, 64))
    info = open_with_pose(film, pose=path, pictures=False).info
    assert (info.path, info.height, info.width) == (path, 36, 64)
    alone = open_with_pose(path).info
    assert (alone.height, alone.width) == (1, 1)


def test_joints_that_a_file_lacks_and_depth_that_it_lacks(tmp_path):
    from slt.video.keypoints import _components
    from tests.keypoint_layouts import chosen, write_components

    body, _, left, right, _ = _components()
    video = open_with_pose(
        write_components(tmp_path / "a.pose", [chosen(body.name, body.points[:25], body), left, right])
    )
    assert video.warnings == ["the keypoint file lacks 8 of 75 joints, which count as not seen"]
    assert np.isfinite(video.joints().reshape(2, 75, 3)).all(axis=2).sum() == 2 * 67
    for component in (body, left, right):
        component.format = "XYC"
    with pytest.raises(UserError, match="has joints without depth, expected x, y and z"):
        open_with_pose(write_components(tmp_path / "flat.pose", [body, left, right]))


def test_what_holds_keypoints(tmp_path):
    from slt.video.pose_file import holds_keypoints
    from tests.keypoint_layouts import WRITERS, figure

    for layout, write in WRITERS.items():
        assert holds_keypoints(write(tmp_path / layout, "a", figure(2)))
    assert not holds_keypoints(tmp_path)
    assert not holds_keypoints(tmp_path / "a.mp4")
