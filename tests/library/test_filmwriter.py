# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures to a film and back."""

import resource
import signal
import sys

import av
import numpy as np
import pytest

from ds2c2.errors import FileError, UserError
from ds2c2.pictures.filmwriter import DEFAULT_RATE, FilmWriter

WIDTH, HEIGHT = 161, 97  # odd on purpose
LEVELS = (20, 90, 160, 230)


def picture(level: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


def seen(path) -> list[tuple[float, int, tuple[int, int]]]:  # noqa: ANN001
    """Seconds, level and size of each frame."""
    with av.open(str(path)) as film:
        frames = list(film.decode(video=0))
        assert film.streams.video[0].codec_context.name in ("h264", "mpeg4")
    return [(frame.time, frame.to_ndarray(format="rgb24").mean(), (frame.width, frame.height)) for frame in frames]


@pytest.mark.parametrize("rate", [DEFAULT_RATE, 2.5, 29.97])
def test_a_film_of_a_rate(tmp_path, rate):
    with FilmWriter(tmp_path / "a.mp4", WIDTH, HEIGHT, rate) as film:
        for level in LEVELS:
            film.write(picture(level), seconds=77.0)
    assert film.frames == len(LEVELS)
    times, levels, sizes = zip(*seen(tmp_path / "a.mp4"), strict=True)
    assert np.diff(times) == pytest.approx(1 / rate, rel=1e-3)
    assert levels == pytest.approx(LEVELS, abs=4)
    assert set(sizes) == {(162, 98)}
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_frames_that_come_when_they_come(tmp_path):
    with FilmWriter(tmp_path / "a.mp4", WIDTH, HEIGHT) as film:
        for seconds, level in zip((0, 0.5, 0.5, 7.25), LEVELS, strict=True):
            film.write(picture(level), seconds)
    times, levels, _ = zip(*seen(tmp_path / "a.mp4"), strict=True)
    assert np.array(times) - times[0] == pytest.approx([0, 0.5, 0.501, 7.25], abs=1e-3)
    assert levels == pytest.approx(LEVELS, abs=4)


def test_what_is_there_is_kept(tmp_path):
    (tmp_path / "a.mp4").write_text("an earlier film")
    with pytest.raises(FileError, match=r"a\.mp4: is there already and is kept; choose another name"):
        FilmWriter(tmp_path / "a.mp4", WIDTH, HEIGHT)
    assert (tmp_path / "a.mp4").read_text() == "an earlier film"
    with pytest.raises(FileError, match="cannot be written"):
        FilmWriter(tmp_path / "nowhere" / "a.mp4", WIDTH, HEIGHT)


@pytest.mark.parametrize(("frames", "error", "kept"), [(0, None, 0), (2, ValueError, 0), (2, KeyboardInterrupt, 2)])
def test_nothing_half_written_stays(tmp_path, frames, error, kept):
    """A film that is interrupted ends there."""
    try:
        with FilmWriter(tmp_path / "a.mp4", WIDTH, HEIGHT) as film:
            for level in LEVELS[:frames]:
                film.write(picture(level), level)
            if error:
                raise error
    except (ValueError, KeyboardInterrupt) as raised:
        assert type(raised) is error
    assert len(list(tmp_path.iterdir())) == (kept > 0)
    assert kept == 0 or len(seen(tmp_path / "a.mp4")) == kept


def test_no_room_is_one_line(tmp_path):
    """A limit on what this process may write stands for a full disk."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    noise = np.random.default_rng(1)
    try:
        with pytest.raises(FileError, match=r"a\.mp4: no space is left"):
            with FilmWriter(tmp_path / "a.mp4", WIDTH, HEIGHT) as film:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 15, before[1]))
                for _ in range(60):
                    film.write(noise.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8), 0.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_without_pyav_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"films need PyAV.*pip install 'gr-ds2c2\[video\]'"):
        FilmWriter(tmp_path / "a.mp4", WIDTH, HEIGHT)
    assert list(tmp_path.iterdir()) == []
