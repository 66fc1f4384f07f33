# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks for inputs that a parser cannot bear, guided by coverage: atheris, which is not among the requirements.

    pip install atheris
    python tests/hostile/fuzz.py packets --seconds 600
    python tests/hostile/fuzz.py all --seconds 60      # one parser after the other
    python tests/hostile/fuzz.py all --seeds           # writes corpus/PARSER/ anew, as our own code makes it

A finding is any exception but ``UserError``, and whatever takes more than the time and memory that ``doors.py``
allows. Each is printed once, its input kept in ``--out``; it goes on. A crash of the interpreter or a hang of 60 s
ends the run, and libFuzzer leaves the input in ``--out``, too.
"""

import argparse
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from checkout import use_checkout  # noqa: E402

use_checkout()

HANG_SECONDS = 60
LARGEST = 9000  # bytes of an input
INSTRUMENTED = ["ds2c2", "sigmf", "dpkt"]


def place_of(error: BaseException) -> str:
    """The error's kind and the innermost line of ours, by which findings are told apart."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "ds2c2" in Path(frame.filename).parts]
    last = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"


def fuzz(name: str, seconds: int, out: Path) -> None:
    """Does not return: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        import doors

        folder = Path(tempfile.mkdtemp(prefix=f"ds2c2-fuzz-{name}-", dir="/dev/shm"))
        door = doors.DOORS[name](folder)
        seeds = [path for path in doors.inputs(name)]
        for path in seeds:  # whatever is imported late is imported here
            try:
                doors.within_bounds(door, path.read_bytes())
            except Exception:  # found again below
                pass
    found: Counter[str] = Counter()

    def one(data: bytes) -> None:
        try:
            doors.within_bounds(door, data)
        except Exception as error:
            place = place_of(error)
            found[place] += 1
            kept = out / f"{name}-{place.replace(' ', '-').replace(':', '-')}"
            if found[place] == 1 or len(data) < kept.stat().st_size:
                kept.write_bytes(data)
            if found[place] == 1:
                print(f"FOUND {name}: {place}: {str(error)[:200]}", flush=True)
                traceback.print_exc()

    grown = folder / "corpus"
    grown.mkdir()
    atheris.Setup(
        [
            sys.argv[0], str(grown), str(doors.CORPUS / name), f"-max_total_time={seconds}", f"-max_len={LARGEST}",
            f"-timeout={HANG_SECONDS}", "-rss_limit_mb=6000", "-print_final_stats=1", f"-artifact_prefix={out}/{name}-",
            "-verbosity=1",
        ],
        one,
    )  # fmt: skip
    atheris.Fuzz()


def main() -> None:
    import doors

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parser", choices=[*doors.DOORS, "all"])
    parser.add_argument("--seconds", type=int, default=600, help="for each parser")
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"), help="where findings go")
    parser.add_argument("--seeds", action="store_true", help="write the corpus anew and fuzz nothing")
    arguments = parser.parse_args()
    names = list(doors.DOORS) if arguments.parser == "all" else [arguments.parser]
    if arguments.seeds:
        from seeds import write_seeds

        for name in names:
            write_seeds(name)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    try:
        import atheris  # noqa: F401
    except ImportError:
        sys.exit("fuzzing needs atheris, which is not installed: pip install atheris")
    for name in names:
        print(f"{name}: {arguments.seconds} s", flush=True)
        # In a process of its own: libFuzzer ends it, and nothing may be imported before it is instrumented.
        script = (
            f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import fuzz; from pathlib import Path; "
        )
        script += f"fuzz.fuzz({name!r}, {arguments.seconds}, Path({str(arguments.out.resolve())!r}))"
        subprocess.run([sys.executable, "-c", script], check=False)


if __name__ == "__main__":
    main()
