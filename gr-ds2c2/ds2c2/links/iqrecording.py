# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings of samples in SigMF (Signal Metadata Format 1.x, github.com/sigmf/SigMF).

Two files, NAME.sigmf-data (``cf32_le``) and NAME.sigmf-meta (JSON). The metadata are there from the
first sample on and rewritten as a whole, so that what an interrupted recording leaves can be read; only a
recording that was closed says ``ds2c2:complete``, the number of its samples and its SHA-512. An annotation
over all samples, with the label ``ds2c2 run``, holds the stream format and the configuration.
"""

import contextlib
import hashlib
import re
import time
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ds2c2 import __version__
from ds2c2.errors import FileError, FormatError, LinkError, UserError
from ds2c2.files import unwritable, write_text
from ds2c2.links.iqdata import NotReadable, find_recording, in_words, recording_paths

DATATYPE = "cf32_le"
SAMPLE_BYTES = 8
RUN_LABEL = "ds2c2 run"
EXTENSION = {"name": "ds2c2", "version": "1.0.0", "optional": True}
# Metadata that changed are written so often at most while recording.
REWRITE_SECONDS = 1.0


def _sigmf():
    try:
        import sigmf
    except ImportError:
        raise UserError("recordings of samples need the package sigmf: pip install sigmf") from None
    return sigmf


def utc(seconds: float) -> str:
    """Seconds since 1970 as SigMF writes a time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class IqWriter:
    """Writes a recording; ``close`` makes it complete.

    Args:
        path: with or without an extension; an existing recording is not overwritten
        rate: samples/s
        frequency: Hz, 0 where there is none
        hardware: what recorded, in words
        stream_format: text form, empty if not known
        about: the run's configuration, name and value

    Raises ``LinkError`` when the files cannot be written or are there, ``UserError`` without sigmf.
    """

    def __init__(
        self,
        path: str | Path,
        rate: float,
        frequency: float = 0.0,
        hardware: str = "",
        stream_format: str = "",
        about: dict[str, str] | None = None,
    ):
        self.data_path, self.meta_path = recording_paths(path)
        self.samples = 0
        self._hash = hashlib.sha512()
        self._written = 0.0
        self._dirty = self._failed = self._from_air = False
        self._file: BinaryIO | None = None
        self._signal = _sigmf().SigMFFile(
            global_info={
                "core:datatype": DATATYPE,
                "core:sample_rate": float(rate),
                "core:recorder": f"gr-ds2c2 {__version__}",
                "core:extensions": [EXTENSION],
                "ds2c2:complete": False,
                **({"core:hw": hardware} if hardware else {}),
            }
        )
        self._frequency = frequency
        self._run = {
            "core:label": RUN_LABEL,
            "core:comment": "\n".join(f"{name}: {value}" for name, value in (about or {}).items()),
            **({"ds2c2:format": stream_format} if stream_format else {}),
        }
        self._signal.add_annotation(0, metadata=self._run)
        self._begin_capture(time.time())
        if not self.meta_path.exists() and self.data_path.is_file() and not self.data_path.stat().st_size:
            self.data_path.unlink()  # of a process that was killed before its first sample
        for there in (self.data_path, self.meta_path):
            if there.exists():
                raise LinkError(f"{there}: there is a recording already; choose another name or move it away")
        try:
            self._file = self.data_path.open("xb")
            self._write_metadata()
        except OSError as error:
            self._give_up()
            raise unwritable(self.data_path, error) from None

    def _give_up(self) -> None:
        """Nothing stays of a recording that cannot be written whole, so that the same name can be tried again;
        but what came from the air and cannot be had again."""
        self._failed = True
        if self._from_air and self.samples:
            with contextlib.suppress(OSError, FileError):
                self._file.close()
            return
        if self._file is not None:
            with contextlib.suppress(OSError):  # what is in its buffer does not fit either
                self._file.close()
            self.data_path.unlink(missing_ok=True)
            self.meta_path.unlink(missing_ok=True)

    def capture(self, seconds: float, frequency: float | None = None) -> None:
        """The next sample was taken at a time, seconds since 1970, on a radio: at the start, after a gap, after
        tuning."""
        self._from_air = True
        self._begin_capture(seconds, frequency)

    def retune(self, frequency: float) -> None:
        """From the next sample on the centre is another one, Hz."""
        self._begin_capture(time.time(), frequency)

    def _begin_capture(self, seconds: float, frequency: float | None = None) -> None:
        if frequency is not None:
            self._frequency = frequency
        tuned = {"core:frequency": float(self._frequency)} if self._frequency else {}
        self._signal.add_capture(self.samples, metadata={"core:datetime": utc(seconds), **tuned})
        self._dirty = True

    def event(self, label: str, comment: str = "") -> None:
        """Something happened at the next sample, an overrun for instance."""
        words = {"core:label": label, **({"core:comment": comment} if comment else {})}
        self._signal.add_annotation(self.samples, metadata=words)
        self._dirty = True

    def write(self, samples: np.ndarray) -> None:
        """Append ``complex64[n]``. Raises ``FileError``: the disk may be full. What came from a radio before stays
        readable then, of anything else nothing stays."""
        data = samples.astype("<c8", copy=False).tobytes()
        try:
            self._file.write(data)
            self._hash.update(data)
            if self._dirty and time.monotonic() - self._written > REWRITE_SECONDS:
                self._write_metadata()
        except OSError as error:
            self._give_up()
            raise unwritable(self.data_path, error) from None
        except FileError:
            self._give_up()
            raise
        self.samples += len(samples)

    def close(self) -> None:
        """Everything is in the files, and the metadata say so, unless writing failed. Raises ``FileError``."""
        if self._failed or self._file.closed:
            return
        try:
            self._file.close()
            self._run["core:sample_count"] = self.samples
            self._signal.set_global_field("core:sha512", self._hash.hexdigest())
            self._signal.set_global_field("ds2c2:complete", True)
            self._write_metadata()
        except OSError as error:
            self._give_up()
            raise unwritable(self.data_path, error) from None
        except FileError:
            self._give_up()
            raise

    def _write_metadata(self) -> None:
        self._signal.validate()
        write_text(self.meta_path, self._signal.dumps() + "\n")
        self._written, self._dirty = time.monotonic(), False


@dataclass(frozen=True)
class Capture:
    """From sample ``start`` on; ``frequency`` in Hz and ``time`` (ISO 8601) are None where not known."""

    start: int
    frequency: float | None
    time: str | None


class IqReader:
    """Reads a recording, ours or anybody's, of one channel and any complex type: two files, or an archive.

    ``samples`` is their number, ``rate`` samples/s, ``stream_format`` and ``about`` what our own
    recordings tell of the run. ``trouble`` says in words what is wrong with it: interrupted, torn or
    truncated; empty if nothing.

    Raises ``LinkError`` for missing files, ``FormatError`` for what is no recording of complex samples.
    """

    def __init__(self, path: str | Path):
        sigmf = _sigmf()
        import jsonschema  # which sigmf validates with

        meta = recording_paths(path)[1]
        try:
            with warnings.catch_warnings():
                # What they say of length is in ``trouble``.
                warnings.simplefilter("ignore")
                meta, metadata, data = find_recording(path)
                self._signal = sigmf.SigMFFile(metadata=metadata)
                self._signal.validate()
                about = self._signal.get_global_info()
                self._form = _components(about["core:datatype"])
                self._data = data.without(*self._around())
        except (
            ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError,
            sigmf.error.SigMFError, jsonschema.ValidationError,
        ) as error:  # fmt: skip
            raise FormatError(f"{meta}: no SigMF recording that can be read ({in_words(error)})") from None
        channels = about.get("core:num_channels", 1)
        if self._form is None or channels != 1:
            several = f"{channels} channels of " if channels != 1 else ""
            raise FormatError(
                f"{meta}: complex samples of one channel are wanted, not {several}{about['core:datatype']}"
            )
        self.data_path = data.path
        self.rate = about.get("core:sample_rate")
        self.hardware = about.get("core:hw", "")
        sample_bytes = 2 * self._form.itemsize
        self.samples = self._data.size // sample_bytes
        self.captures = [
            Capture(entry["core:sample_start"], entry.get("core:frequency"), entry.get("core:datetime"))
            for entry in self._signal.get_captures()
        ]
        annotations = self._signal.get_annotations()
        run = next((entry for entry in annotations if entry.get("core:label") == RUN_LABEL), {})
        self.stream_format = str(run.get("ds2c2:format", ""))  # of a name space that no schema checks
        lines = (line.partition(": ") for line in run.get("core:comment", "").splitlines())
        self.about = {name: value for name, _, value in lines}
        self.events = [
            (entry["core:sample_start"], entry.get("core:label", "")) for entry in annotations if entry is not run
        ]
        torn = self._data.size % sample_bytes
        self.trouble = self._trouble(about.get("ds2c2:complete"), torn, run.get("core:sample_count"))

    def _around(self) -> tuple[int, int]:
        """Bytes before and behind the samples: others put headers and notes there. Raises ``ValueError`` for headers
        amid the samples."""
        headers = [int(capture.get("core:header_bytes", 0)) for capture in self._signal.get_captures()]
        if any(headers[1:]):
            raise NotReadable("core:header_bytes of a capture that is not the first")
        before = headers[0] if headers else 0
        behind = int(self._signal.get_global_info().get("core:trailing_bytes", 0))
        if min(before, behind) < 0:
            raise NotReadable("negative core:header_bytes or core:trailing_bytes")
        return before, behind

    def _trouble(self, complete: bool | None, torn: int, told: int | None) -> str:
        words = []
        if complete is False:
            words.append("the recording was interrupted")
        if torn:
            words.append(f"{torn} bytes of a torn last sample")
        if told is not None and told > self.samples:
            words.append(f"{told - self.samples} of {told} samples are missing at the end")
        return ", ".join(words)

    def read(self, start: int, count: int) -> np.ndarray:
        """Up to ``count`` samples from ``start`` on, ``complex64[n]``; n = 0 at the end. Whole numbers of others become
        -1 to 1."""
        count = max(0, min(count, self.samples - start))
        values = self._data.read(self._form, 2 * start, 2 * count)
        if self._form.kind != "f":
            half = 2.0 ** (8 * self._form.itemsize - 1)
            values = (values - half if self._form.kind == "u" else values) / half
        return values[: len(values) // 2 * 2].astype(np.float32, copy=False).view(np.complex64)


def _components(datatype: str) -> np.dtype | None:
    """What real and imaginary parts are stored as, None for samples that are not complex. Raises ``ValueError``."""
    known = re.fullmatch(r"([cr])([fiu])(8|16|32|64)(_le|_be)?", datatype)
    if not known:
        raise NotReadable(f"core:datatype {datatype!r} is none of its types")
    domain, kind, bits, order = known.groups()
    return np.dtype(f"{'>' if order == '_be' else '<'}{kind}{int(bits) // 8}") if domain == "c" else None
