# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures in every form that cameras and programs leave them, and what is none."""

import os

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin, features

from ds2c2.errors import FileError, PictureError
from ds2c2.pictures.pictures import (
    check_size,
    check_sources,
    fit_picture,
    list_pictures,
    pad_to_multiple,
    read_picture,
    to_picture,
    to_tensor,
    write_picture,
)

RED, WHITE = [255, 0, 0], [255, 255, 255]
EXIF_ORIENTATION = 0x0112


def colours(height: int = 70, width: int = 90) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm", ".PNG"])
def test_lossless_files_come_back_as_they_are(tmp_path, suffix):
    path = write_picture(tmp_path / "deep" / f"picture{suffix}", colours())
    assert np.array_equal(read_picture(path), colours())
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_suffix_says_the_format_and_else_it_is_png(tmp_path):
    for name, kind in (("a.jpg", "JPEG"), ("a.webp", "WEBP"), ("a.png", "PNG"), ("a", "PNG"), ("a.xyz", "PNG")):
        with Image.open(write_picture(tmp_path / name, colours())) as image:
            assert image.format == kind


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [(1, [[0, 1], [2, 3]]), (3, [[3, 2], [1, 0]]), (6, [[2, 0], [3, 1]]), (8, [[1, 3], [0, 2]]), (2, [[1, 0], [3, 2]])],
)
def test_exif_rotation_is_applied(tmp_path, orientation, expected):
    """Quarters of a picture, numbered, end up where a viewer shows them."""
    picture = np.kron(np.array([[0, 60], [120, 180]], np.uint8), np.ones((32, 32), np.uint8))
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    Image.fromarray(picture).save(tmp_path / "turned.jpg", quality=95, exif=exif)
    quarters = read_picture(tmp_path / "turned.jpg")[16::32, 16::32, 0]
    assert (np.rint(quarters / 60).astype(int)).tolist() == expected


def test_a_turned_picture_changes_sides(tmp_path):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    Image.fromarray(colours(70, 90)).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "turned.png"), np.rot90(colours(70, 90), -1))


def test_grey_is_repeated_in_three_channels(tmp_path):
    grey = colours()[:, :, 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    picture = read_picture(tmp_path / "grey.png")
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, np.repeat(grey[:, :, None], 3, axis=2))


def test_black_and_white(tmp_path):
    Image.fromarray(colours()[:, :, 0] > 128).save(tmp_path / "bits.png")
    assert np.array_equal(read_picture(tmp_path / "bits.png")[:, :, 1], np.where(colours()[:, :, 0] > 128, 255, 0))


@pytest.mark.parametrize(("mode", "colour", "shown"), [("RGBA", (255, 0, 0), RED), ("LA", (40,), [40] * 3)])
def test_alpha_is_laid_over_white(tmp_path, mode, colour, shown):
    image = Image.new(mode, (66, 64), (*colour, 255))
    image.putpixel((0, 0), (*colour, 0))
    image.putpixel((1, 0), (*colour, 51))  # one fifth
    image.save(tmp_path / "clear.png")
    row = read_picture(tmp_path / "clear.png")[0].astype(int)
    assert row[2].tolist() == shown
    assert row[0].tolist() == WHITE
    assert np.abs(row[1] - (0.2 * np.array(shown) + 0.8 * 255)).max() <= 1


def test_palette_with_transparency(tmp_path):
    image = Image.new("P", (64, 64), 1)
    image.putpalette([0, 0, 255, *RED])
    image.putpixel((5, 0), 0)
    image.save(tmp_path / "palette.png", transparency=0)
    picture = read_picture(tmp_path / "palette.png")
    assert picture[0, 5].tolist() == WHITE
    assert picture[0, 6].tolist() == RED


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("highest", [65535, 1000, 200], ids=["bright", "dark", "nearly black"])
def test_16_bit_grey_keeps_its_levels(tmp_path, suffix, highest):
    """Dark pictures stay dark: 65535 is white, whatever the brightest pixel is."""
    levels = np.linspace(0, highest, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(levels).save(tmp_path / f"deep{suffix}")
    picture = read_picture(tmp_path / f"deep{suffix}")
    assert np.array_equal(picture[:, :, 0], np.rint(levels / 257).astype(np.uint8))
    assert np.array_equal(picture[:, :, 0], picture[:, :, 2])


def test_float_tiff_in_0_to_1(tmp_path):
    levels = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    Image.fromarray(levels).save(tmp_path / "float.tif")
    assert np.array_equal(read_picture(tmp_path / "float.tif")[:, :, 0], np.rint(levels * 255).astype(np.uint8))


def test_cmyk_jpeg(tmp_path):
    Image.new("CMYK", (64, 64), (0, 255, 255, 0)).save(tmp_path / "print.jpg")
    assert read_picture(tmp_path / "print.jpg").shape == (64, 64, 3)


def bad_file(folder, name):
    path = folder / name
    if name == "text.png":
        path.write_text("This is no picture.\n")
    elif name == "empty.png":
        path.touch()
    elif name == "folder.png":
        path.mkdir()
    elif name == "cut.jpg":
        Image.fromarray(colours()).save(path)
        path.write_bytes(path.read_bytes()[:-900])
    elif name == "cut.png":
        Image.fromarray(colours()).save(path)
        path.write_bytes(path.read_bytes()[:3000])
    return path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text.png", "not a picture"),
        ("empty.png", "not a picture"),
        ("missing.png", "no such file"),
        ("folder.png", "a folder and no file"),
        ("cut.jpg", "damaged"),
        ("cut.png", "damaged"),
    ],
)
def test_what_is_no_picture_is_named_in_one_line(tmp_path, name, words):
    path = bad_file(tmp_path, name)
    with pytest.raises(PictureError) as error:
        read_picture(path)
    assert str(path) in str(error.value)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_pipe_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", "/dev/zero"):
        with pytest.raises(PictureError, match="a pipe or device and no file"):
            read_picture(path)
    with pytest.raises(PictureError, match="a folder and no file"):
        read_picture(tmp_path)


def test_what_editors_write_into_a_png_does_not_matter(tmp_path):
    notes = PngImagePlugin.PngInfo()
    notes.add_text("XML:com.adobe.xmp", "x" * (3 << 20), zip=True)
    Image.fromarray(colours()).save(tmp_path / "notes.png", pnginfo=notes)
    assert np.array_equal(read_picture(tmp_path / "notes.png"), colours())


def test_the_first_picture_of_a_gif_is_read(tmp_path):
    frames = [Image.new("RGB", (80, 70), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    assert read_picture(tmp_path / "two.gif")[3, 3].tolist() == RED


def test_avif_is_read_or_named(tmp_path):
    path = tmp_path / "a.avif"
    if features.check("avif"):
        Image.fromarray(np.full((70, 90, 3), 200, np.uint8)).save(path)
        assert abs(read_picture(path).astype(int) - 200).max() < 5
    else:
        path.write_bytes(b"\0\0\0\x18ftypavif" + bytes(100))
        with pytest.raises(PictureError, match="AVIF, which Pillow does not read here"):
            read_picture(path)


def test_hidden_files_are_passed_over(album, monkeypatch):
    (album / "._a.png").write_bytes(b"no picture")
    (album / ".cache").mkdir()
    (album / ".cache" / "x.png").write_bytes(b"no picture")
    assert names(list_pictures([str(album)])) == ["a.png", "b.JPG", "c.webp"]
    assert names(list_pictures([f"{album}/*.png"])) == ["a.png"]
    # What is named is meant, and so is a way through a hidden folder or the one above.
    assert names(list_pictures([str(album / "._a.png")])) == ["._a.png"]
    assert names(list_pictures([f"{album}/.cache/*.png"])) == ["x.png"]
    monkeypatch.chdir(album / ".cache")
    assert names(list_pictures(["../*.png"])) == ["a.png"]


@pytest.mark.parametrize(
    ("height", "width", "words"),
    [
        (10, 10, "10x10 pixels; sides must be 64 to 4096: .* or enlarge"),
        (63, 500, "500x63 pixels; sides must be 64 to 4096: .* or enlarge"),
        (64, 4097, "4097x64 pixels; sides must be 64 to 4096: .* or reduce"),
    ],
)
def test_sizes_out_of_range_are_named(height, width, words):
    with pytest.raises(PictureError, match="here.png: " + words):
        check_size(height, width, "here.png")


def test_the_smallest_and_the_largest_size_are_right():
    check_size(64, 4096)
    check_size(4096, 64)


def test_a_tiny_picture_is_read_and_fitted(tmp_path):
    """10x20 in 64x64: enlarged to 32x64, 16 black columns on either side."""
    path = write_picture(tmp_path / "tiny.png", np.full((20, 10, 3), 77, np.uint8))
    fitted = fit_picture(read_picture(path), 64, 64)
    assert (fitted[:, 16:48] == 77).all()
    assert not fitted[:, :16].any() and not fitted[:, 48:].any()


def test_a_picture_that_fits_is_not_touched():
    picture = colours(64, 96)
    assert fit_picture(picture, 96, 64, "pad") is picture
    assert fit_picture(picture, 96, 64, "scale") is picture


def test_padding_keeps_the_shape_of_things():
    """200x100 in 100x80: reduced to 100x50, 15 black rows above and below."""
    fitted = fit_picture(np.full((100, 200, 3), 77, np.uint8), 100, 80)
    assert fitted.shape == (80, 100, 3)
    assert (fitted[15:65] == 77).all()
    assert not fitted[:15].any()
    assert not fitted[65:].any()


def test_scaling_fills_the_frame():
    fitted = fit_picture(np.full((100, 200, 3), 77, np.uint8), 100, 80, "scale")
    assert fitted.shape == (80, 100, 3)
    assert (fitted == 77).all()


def test_an_unknown_way_to_fit_is_named():
    with pytest.raises(PictureError, match="'crop' is unknown; choose one of pad, scale"):
        fit_picture(colours(), 64, 64, "crop")


@pytest.mark.parametrize(("height", "width"), [(64, 64), (65, 67), (79, 80), (1, 1)])
def test_padding_to_a_multiple_repeats_the_edge(height, width):
    picture = colours(height, width)
    padded = pad_to_multiple(picture, 16)
    assert padded.shape == (-(-height // 16) * 16, -(-width // 16) * 16, 3)
    assert np.array_equal(padded[:height, :width], picture)
    assert (padded[height:, :width] == picture[-1]).all()
    assert (padded[:, width:] == padded[:, width - 1 : width]).all()


def test_tensors_are_minus_1_to_1_and_come_back():
    picture = colours()
    picture[0, 0], picture[0, 1] = 0, 255
    tensor = to_tensor(picture)
    assert tensor.shape == (1, 3, 70, 90)
    assert tensor[0, :, 0, 0].tolist() == [-1.0] * 3
    assert tensor[0, :, 0, 1].tolist() == [1.0] * 3
    assert np.array_equal(to_picture(tensor), picture)
    assert to_picture(torch.tensor([-7.0, 0.0, 7.0]).view(1, 3, 1, 1)).tolist() == [[[0, 128, 255]]]


@pytest.mark.parametrize(
    ("name", "error", "named"),
    [("taken/picture.png", FileError, "taken"), ("folder.png", FileError, "folder.png"),
     ("picture.psd", PictureError, "picture.psd")],
)  # fmt: skip
def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path, name, error, named):
    """A file where a folder should be, a folder of that name, a format Pillow only reads."""
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(error, match=named):
        write_picture(tmp_path / name, colours())
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == ["folder.png", "taken"]


def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_picture(tmp_path / "picture.png", colours())

    def half(self, part, **_):
        part.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises(KeyboardInterrupt):
        write_picture(path, colours(64, 64))
    assert np.array_equal(read_picture(path), colours())
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def album(tmp_path):
    """Pictures a.png, b.JPG, sub/c.webp, and things that are none."""
    (tmp_path / "sub").mkdir()
    for name in ("b.JPG", "a.png", "sub/c.webp", "odd.name"):
        Image.fromarray(colours()).save(tmp_path / name, "PNG")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "looks-like.png").mkdir()
    return tmp_path


def names(paths):
    return [path.name for path in paths]


def test_folders_are_searched_through(album):
    assert names(list_pictures([str(album)])) == ["a.png", "b.JPG", "c.webp"]


def test_globs_find_pictures_only(album, monkeypatch):
    assert names(list_pictures([f"{album}/*"])) == ["a.png", "b.JPG"]
    assert names(list_pictures([f"{album}/**/*.webp"])) == ["c.webp"]
    monkeypatch.chdir(album)
    assert names(list_pictures(["*.png"])) == ["a.png"]


def test_a_named_file_is_taken_whatever_its_suffix_in_the_order_given(album):
    assert names(list_pictures([str(album / "odd.name"), str(album / "a.png")])) == ["odd.name", "a.png"]


def test_a_file_whose_name_looks_like_a_glob(album):
    Image.fromarray(colours()).save(album / "what[1].png")
    assert names(list_pictures([str(album / "what[1].png")])) == ["what[1].png"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("missing.png", "no such file"),
        ("*.gif", "no pictures there"),
        ("empty", "no pictures there"),
        ("a**b.png", "no"),
    ],
)
def test_a_source_without_pictures_is_named(album, source, words):
    (album / "empty").mkdir()
    for look in (list_pictures, check_sources):
        look([str(album / "a.png"), str(album)])
        with pytest.raises(PictureError) as error:
            look([str(album / "a.png"), str(album / source)])
        assert str(album / source) in str(error.value)
        assert words in str(error.value)
