# SPDX-License-Identifier: GPL-3.0-or-later
"""Films, the standard input, folders that grow, and what becomes of pictures that are late."""

import functools
import io
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from ds2c2.ends.movingfeed import MovingFeed
from ds2c2.errors import PictureError, UserError
from ds2c2.pictures.moving import film, folder, piped
from ds2c2.pictures.moving.film import Film
from ds2c2.pictures.moving.folder import GrowingFolder
from ds2c2.pictures.moving.piped import PipedPictures
from ds2c2.pictures.moving.source import MovingSource, Shot
from ds2c2.pictures.moving.sources import check_names, moves, open_sources
from films import numbers, shot, write_film

SIZE = (96, 64)


def taken(feed: MovingFeed) -> list[np.ndarray]:
    return list(_all(feed))


def _all(feed):
    while (picture := feed.take()) is not None:
        yield picture


@pytest.fixture
def clip(tmp_path):
    """Two seconds, ten pictures each."""
    return write_film(tmp_path / "clip.mp4")


def test_a_film_gives_every_picture_and_knows_its_last(clip):
    feed, over = MovingFeed(open_sources([str(clip)]), *SIZE), []
    pictures = []
    while (picture := feed.take()) is not None:
        pictures.append(picture)
        over.append(feed.over(len(pictures)))
    assert feed.rate == 10 and not feed.live
    assert numbers(pictures) == list(range(20))
    assert over == [False] * 19 + [True]
    assert feed.late == 0


def test_a_lower_rate_passes_over_pictures_and_keeps_the_films_speed(clip):
    feed = MovingFeed(open_sources([str(clip)]), *SIZE, frame_rate=2.5)
    assert feed.rate == 2.5
    assert numbers(taken(feed)) == [0, 4, 8, 12, 16]


def test_films_and_pictures_in_a_row_from_the_beginning_again(clip, tmp_path):
    write_film(tmp_path / "short.y4m", 2)
    Image.fromarray(shot(30)).save(tmp_path / "still.png")
    source = open_sources([str(tmp_path / "short.y4m"), str(tmp_path / "still.png")])
    assert source.size() == SIZE
    feed = MovingFeed(source, *SIZE, repeat=True, count=7)
    assert numbers(taken(feed)) == [0, 1, 30, 0, 1, 30, 0]


def test_a_glob_names_films(clip, tmp_path):
    write_film(tmp_path / "before.mp4", 1)
    assert len(taken(MovingFeed(open_sources([f"{tmp_path}/*.mp4"]), *SIZE))) == 21
    with pytest.raises(PictureError, match="no such film"):
        check_names([f"{tmp_path}/*.mkv"])


def test_a_torn_film_ends_where_it_is_torn(tmp_path):
    whole = write_film(tmp_path / "whole.y4m").read_bytes()
    (tmp_path / "torn.y4m").write_bytes(whole[: len(whole) * 2 // 3])
    feed = MovingFeed(open_sources([str(tmp_path / "torn.y4m")]), *SIZE)
    assert numbers(taken(feed)) == list(range(13))
    (tmp_path / "none.mp4").write_bytes(b"no film")
    with pytest.raises(PictureError, match="none.mp4: cannot be opened as video"):
        open_sources([str(tmp_path / "none.mp4")])


def test_a_film_at_an_address(clip, tmp_path):
    """That tells its length, so it waits for its reader."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/clip.mp4"
        assert moves([address])
        source = open_sources([address])
        assert not source.live
        assert numbers(taken(MovingFeed(source, *SIZE))) == list(range(20))
        with pytest.raises(PictureError, match="nothing.mp4: cannot be opened"):
            open_sources([address.replace("clip", "nothing")])
    finally:
        server.shutdown()
        server.server_close()


def test_without_pyav_the_remedy_is_named(clip, monkeypatch):
    monkeypatch.setattr(film, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"clip.mp4: .* pip install 'gr-ds2c2\[video\]'"):
        open_sources([str(clip)])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/dev/video63", "no such camera"),
        ("gopher://there/film", "not an address that is known"),
        ("clip.mp4", "no such file"),
    ],
)
def test_what_is_not_there_is_named(name, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for look in (check_names, open_sources):
        with pytest.raises(PictureError, match=words):
            look([name])


def jpeg(number: int, **settings) -> bytes:
    kept = io.BytesIO()
    Image.fromarray(shot(number)).save(kept, "JPEG", quality=95, **settings)
    return kept.getvalue()


def png(number: int) -> bytes:
    kept = io.BytesIO()
    Image.fromarray(shot(number)).save(kept, "PNG")
    return kept.getvalue()


class Dribble(io.RawIOBase):
    """A pipe that gives a few bytes at a time."""

    def __init__(self, data: bytes, step: int):
        self._data, self._step = io.BytesIO(data), step

    def read(self, size: int = -1) -> bytes:
        return self._data.read(self._step)


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_pictures_one_behind_the_other(step):
    """JPEG with a JPEG within (a camera's thumbnail), with restart markers, progressive; and PNG among them."""
    exif = Image.Exif()
    exif[0x9286] = jpeg(9)
    data = jpeg(1, exif=exif, restart_marker_rows=1) + png(2) + jpeg(3, progressive=True) + b"\xff" * 0 + png(4)
    source = PipedPictures(Dribble(data, step))
    assert numbers(taken(MovingFeed(source, *SIZE))) == [1, 2, 3, 4]
    assert source.problems == []


@pytest.mark.parametrize(
    ("data", "count", "problem"),
    [
        (png(1) + png(2)[:60], 1, "ends within a picture, after 1 whole ones"),
        (jpeg(1) + b"what is this", 1, "1 pictures, and behind them 12 bytes that are none, passed over"),
        (png(1)[:60], 0, "no picture came"),
        (b"", 0, "nothing came"),
        (b"what is this", 0, "cannot be opened as video .*; a pipe takes PNG, JPEG, MJPEG and Y4M"),
    ],
)
def test_a_pipe_that_ends_in_a_bad_way(data, count, problem):
    if count == 0:
        with pytest.raises(PictureError, match=problem):
            taken(MovingFeed(PipedPictures(io.BytesIO(data)), *SIZE))
        return
    feed = MovingFeed(PipedPictures(io.BytesIO(data)), *SIZE)
    assert len(taken(feed)) == count
    assert len(feed.problem_lines) == 1 and problem in feed.problem_lines[0]


GARBAGE = b"\xff\xd8 and \x89PNG, but not quite " * 100


@pytest.mark.parametrize("step", [1, 1 << 20])
@pytest.mark.parametrize(
    ("between", "problem"),
    [
        (GARBAGE, f"1 pictures, and behind them {len(GARBAGE)} bytes that are none"),
        (png(9)[:70], "1 pictures, and behind them a damaged one, 70 bytes"),
        (png(9)[:40] + b"\x7f" + png(9)[41:], "1 pictures, and behind them a damaged one"),
        (jpeg(9)[:500], "1 pictures, and behind them a damaged one, 500 bytes"),
        (b"\xff\xd8\xff", "1 pictures, and behind them a damaged one, 3 bytes"),
    ],
)
def test_a_pipe_goes_on_behind_what_is_no_picture(between, problem, step):
    for behind in (png, jpeg):
        feed = MovingFeed(PipedPictures(Dribble(png(1) + between + behind(2) + behind(3), step)), *SIZE)
        assert numbers(taken(feed)) == [1, 2, 3]
        assert len(feed.problem_lines) == 1 and problem in feed.problem_lines[0]


def test_what_has_no_end_is_no_picture(monkeypatch):
    """And costs no more memory than the largest there may be."""
    monkeypatch.setattr(piped, "MOST_BYTES", 1000)
    endless = jpeg(9)[:600] + bytes(3000)
    feed = MovingFeed(PipedPictures(Dribble(png(1) + endless + png(2), 100)), *SIZE)
    assert numbers(taken(feed)) == [1, 2]
    assert feed.problem_lines


def test_an_mp4_comes_through_a_pipe_only_if_its_index_is_first(clip):
    data = clip.read_bytes()
    assert data.index(b"mdat") < data.index(b"moov")
    # FFmpeg goes back within its buffer; with a box of 64 KiB between, it would have to go farther.
    first, free = int.from_bytes(data[:4], "big"), (1 << 16).to_bytes(4, "big") + b"free" + bytes((1 << 16) - 8)
    data = data[:first] + free + data[first:]
    with pytest.raises(PictureError, match="an MP4 whose index is at its end cannot be piped; .* -movflags .faststart"):
        taken(MovingFeed(PipedPictures(Dribble(data, 1000)), *SIZE))
    # A file that is the standard input is no pipe.
    assert len(taken(MovingFeed(PipedPictures(clip.open("rb")), *SIZE))) == 20


def test_y4m_comes_through_a_pipe(tmp_path):
    data = write_film(tmp_path / "clip.y4m", 5).read_bytes()
    feed = MovingFeed(PipedPictures(io.BytesIO(data)), *SIZE)
    assert numbers(taken(feed)) == [0, 1, 2, 3, 4]
    assert feed.rate == 10


def test_a_folder_that_grows(tmp_path, monkeypatch):
    """What is there comes first; what is half written is waited for; what never was a picture is skipped."""
    monkeypatch.setattr(folder, "LOOK_SECONDS", 0.005)
    whole = png(2)
    (tmp_path / "a.png").write_bytes(png(1))
    source = GrowingFolder(tmp_path)
    feed = MovingFeed(source, *SIZE, count=3)
    assert numbers([feed.take()]) == [1]
    (tmp_path / "b.png").write_bytes(whole[:50])
    assert not feed.ready(0.05)
    (tmp_path / ".hidden.png").write_bytes(png(7))
    (tmp_path / "b.png").write_bytes(whole)
    assert numbers([feed.take()]) == [2]
    monkeypatch.setattr(folder, "SETTLE_SECONDS", 0.0)
    (tmp_path / "c.png").write_bytes(b"never a picture")
    assert not feed.ready(0.05)
    (tmp_path / "d.png").write_bytes(png(3))
    assert numbers(taken(feed)) == [3]
    assert feed.skipped == 1 and "c.png: not a picture" in feed.problem_lines[0]
    with pytest.raises(PictureError, match="one folder can be followed"):
        open_sources([str(tmp_path / "a.png")], follow=True)


class Camera(MovingSource):
    """Live: gives a picture as soon as it is asked, whether or not the one before was taken."""

    live = endless = True

    def __init__(self, pictures: int):
        super().__init__()
        self._number, self._pictures = 0, pictures
        self.given = threading.Semaphore(0)

    def read(self, wait: float) -> Shot | None:
        if self.ended or not self.given.acquire(timeout=wait):
            return None
        self._number += 1
        return Shot(shot(self._number - 1))

    @property
    def ended(self) -> bool:
        return self._number >= self._pictures

    def show(self, feed: MovingFeed, pictures: int) -> None:
        """Pictures come, and the feed has seen them."""
        wanted = feed.late + pictures - (feed._waiting is None)
        self.given.release(pictures)
        with feed._changed:
            assert feed._changed.wait_for(lambda: feed.late == wanted and feed._waiting is not None, 30)


def test_of_a_camera_the_newest_is_taken_and_the_late_ones_are_counted():
    camera = Camera(12)
    feed = MovingFeed(camera, *SIZE)
    assert not feed.ready(0)
    camera.show(feed, 3)
    assert numbers([feed.take()]) == [2]
    camera.show(feed, 5)
    assert numbers([feed.take()]) == [7]
    assert feed.late == 2 + 4 and not feed.over(2)
    camera.show(feed, 1)
    feed.stop()
    assert feed.take() is None and feed.over(2)


def test_what_has_no_end_cannot_be_repeated():
    with pytest.raises(PictureError, match="cannot be repeated"):
        MovingFeed(Camera(1), *SIZE, repeat=True)


def test_a_film_that_is_made_live_drops_what_is_not_taken(tmp_path):
    clip = Film(str(write_film(tmp_path / "fast.mp4", 20, rate=1000)))
    feed = MovingFeed(clip, *SIZE, live=True)
    assert feed.take() is not None
    feed._thread.join(30)
    assert numbers(taken(feed)) == [19]
    assert 0 < feed.late <= 18
