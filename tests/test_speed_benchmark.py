"""The study of speed: no direction without a side, no row lost."""

from dataclasses import replace

from benchmarks import speed
from benchmarks.sides import SIDES


def test_a_direction_that_no_side_takes_is_left_out():
    exact = next(side for side in SIDES if side.name == speed.REFERENCE)
    assert list(speed.prepared([exact], 32, 32)) == ["forward", "forward+backward"]
    assert list(speed.prepared([replace(exact, largest_backward=31 * 32)], 32, 32)) == ["forward"]


def test_other_sizes_stay_in_the_file(tmp_path):
    path = tmp_path / "speed.csv"
    assert speed.of_other_sizes(path, ["32x32"]) == []
    rows = [dict.fromkeys(speed.COLUMNS, "1") | {"height": side, "width": side} for side in ("32", "64")]
    speed.write(rows, path)
    assert speed.of_other_sizes(path, ["32x32"]) == rows[1:]
