# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of other tools with what is rare in them: units in names, far numbers, names with signs of their own."""

import pytest

from ds2c2.traces.losstrace import read_trace_file


@pytest.mark.parametrize(
    "name", ["time_ms", "Time (ms)", "time ms", "time-ms", "TIME [ms]", "rx.time-ms", "rx.Time(ms)"]
)
def test_the_unit_in_a_columns_name_counts_however_it_is_written(tmp_path, name):
    (tmp_path / "t.csv").write_text(f"seq,{name}\n1,1000\n2,1500\n")
    assert read_trace_file(tmp_path / "t.csv").time.tolist() == [0, 0.5]
