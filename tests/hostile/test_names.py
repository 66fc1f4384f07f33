# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that would lead out of the models' folders, and weights files that are none: one line each."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from ds2c2.codec.codec import Codec
from ds2c2.errors import FormatError, WeightsError
from ds2c2.networks.modelfiles import find_weights, read_metadata
from ds2c2.networks.weights import load_networks
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.recording import MAGIC

TEXT = "ds2c2/1 96x64 bpp=0.9 block=40 base=0.026 redundancy=1 interleave=none depth=1 seed=1 model="


@pytest.mark.parametrize(
    "name", ["../../x", "/tmp/x", "a/b", "..\\x", "~", "x.safetensors", "..x.safetensors", "$HOME", "a b", "x@12"]
)
def test_no_path_in_a_stream_text(name, models, tmp_path, monkeypatch):
    """A file of that name in the folder where a receiver happens to run is none of its models either."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.safetensors").write_bytes((models / "coded.safetensors").read_bytes())
    with pytest.raises(FormatError):
        StreamFormat.parse(TEXT + name)


@pytest.mark.parametrize("name", ["..", ".", "x", ".hidden"])
def test_names_are_looked_up_in_the_models_folders_alone(name, models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in ("x.safetensors", "...safetensors", "..safetensors", ".hidden.safetensors"):
        (tmp_path / file).write_bytes((models / "coded.safetensors").read_bytes())
    with pytest.raises(WeightsError, match="is unknown"):
        Codec(StreamFormat.parse(TEXT + name), "cpu")


def test_a_recording_that_names_a_path_is_refused_in_one_line(ds2c2_line, tmp_path):
    (tmp_path / "a.rec").write_bytes(MAGIC + f"{TEXT}../../x\n".encode())
    line = ds2c2_line("receive", "--from", "a.rec", "--out", "got", code=4)
    assert "'../../x'" in line or "not understood" in line or "a name of letters" in line


@pytest.fixture
def ds2c2_line(models, tmp_path, monkeypatch, capfd):
    """Run a command in this process, which must end with a code and one line."""
    from ds2c2.cli.program import main

    def run(*words, code):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", ["ds2c2", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capfd.readouterr().err
        assert ended.value.code == code and said.count("\n") == 1, said
        return said

    return run


def changed(source, path, change):
    """A weights file with another header, which ``change`` gets and gives back."""
    data = source.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(change(json.loads(data[8:end]))).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[end:])
    return path


def of_metadata(**notes):
    def change(header):
        header["__metadata__"] |= notes
        return header

    return change


def wide(header):
    """A shape of 3.6 million million weights beside the few that there are."""
    shape = json.loads(header["__metadata__"]["shape"]) | {"widths": [200_000] * 3}
    return of_metadata(shape=json.dumps(shape))(header)


def deep(header):
    shape = json.loads(header["__metadata__"]["shape"]) | {"encoder_blocks": [10**9, 1, 1]}
    return of_metadata(shape=json.dumps(shape))(header)


LIES = {
    "wide": wide,
    "deep": deep,
    "no shape": of_metadata(shape="[]"),
    "a shape in a shape": of_metadata(shape="[" * 5000),
    "other sizes": of_metadata(shape=json.dumps({"widths": [9, 8, 8]})),
    "negative": of_metadata(shape=json.dumps({"widths": [-8, 8, 8]})),
    "words": of_metadata(shape=json.dumps({"widths": "many"})),
    "another profile": of_metadata(profile="../coded"),
    "the rest elsewhere": of_metadata(rest_from="../../x@00000000"),
    "the rest in a file here": of_metadata(rest_from="x.safetensors@00000000"),
    "the rest nowhere": of_metadata(rest_from="@"),
}


@pytest.mark.parametrize("lie", LIES)
def test_headers_that_lie(lie, models, tmp_path):
    """Within a moment, and without the room that they ask for."""
    path = changed(models / "binary.safetensors", tmp_path / "lie.safetensors", LIES[lie])
    with pytest.raises(WeightsError, match="lie.safetensors") as refused:
        load_networks(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("what", ["cut", "empty", "pointer", "long header", "nan", "offsets"])
def test_files_that_are_no_weights(what, models, tmp_path):
    path, whole = tmp_path / "none.safetensors", (models / "binary.safetensors").read_bytes()
    if what == "nan":
        tensors = load_file(models / "binary.safetensors")
        name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
        tensors[name].reshape(-1)[0] = torch.nan
        save_file(tensors, path, metadata=read_metadata(models / "binary.safetensors"))
    elif what == "offsets":

        def past_the_end(header):
            name = next(name for name in header if name != "__metadata__")
            header[name]["data_offsets"] = [0, 1 << 40]
            return header

        changed(models / "binary.safetensors", path, past_the_end)
    else:
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 16240768\n"
        long = (1 << 40).to_bytes(8, "little") + whole[8:]
        path.write_bytes({"cut": whole[:-10], "empty": b"", "pointer": pointer, "long header": long}[what])
    with pytest.raises(WeightsError, match="none.safetensors") as refused:
        load_networks(path)
    assert "\n" not in str(refused.value)
    assert {"pointer": "git lfs pull", "nan": "not finite"}.get(what, "fetch") in str(refused.value)


def test_a_link_in_the_models_folder_is_its_owners_choice(models, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.safetensors").symlink_to(models / "binary.safetensors")
    monkeypatch.setenv("DS2C2_MODELS", str(tmp_path / "models"))
    assert find_weights("mine") == tmp_path / "models" / "mine.safetensors"
