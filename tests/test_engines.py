"""Torch against Octave, stage by stage, on pairs that no golden holds; and proof that this test sees a wrong number."""

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import vdp_distill.octave as octave
from vdp_distill import HDRVDP2, hdrvdp2
from vdp_distill.measure import benchmark
from vdp_distill.parameters import DEFAULT_PARAMETERS

pytestmark = pytest.mark.skipif(not octave.octave_available(), reason=octave.octave_problem())

TOLERANCE = 1e-10
"""Of a stage's largest value: what two float64 programs may differ by in the order of their sums."""


def wide_pair(seed: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Colour light over six decades, with differences that are just seen in the dark and in the bright."""
    generator = torch.Generator().manual_seed(seed)
    decades = torch.linspace(-3, 3, width, dtype=torch.float64).expand(height, width)
    texture = torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)
    reference = 10 ** (decades + 0.4 * texture)
    noise = torch.randn(reference.shape, generator=generator, dtype=torch.float64)
    return reference * (1 + 0.05 * noise.abs()), reference


def largest_difference(result, other) -> float:
    """Over all stages and outputs, relative to each one's largest value."""
    pairs = [(getattr(result, name), getattr(other, name)) for name in ("P_map", "C_map", "Q")]
    for name, stage in result.stages.items():
        sides = (
            zip(stage, other.stages[name], strict=True) if isinstance(stage, tuple) else [(stage, other.stages[name])]
        )
        for ours, theirs in sides:
            pairs.extend(zip(ours, theirs, strict=True) if isinstance(ours, list) else [(ours, theirs)])
    return max(float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-30)) for ours, theirs in pairs)


SETTINGS = {
    "colour": {"encoding": "rgb-bt.709", "pixels_per_degree": 9.3, "surround_l": 7.0},
    "display": {"encoding": "rgb-bt.709", "pixels_per_degree": 26, "rgb_display": "crt", "surround_l": -1},
    "options": {"encoding": "XYZ", "pixels_per_degree": 60, "mtf": False, "masking": False, "peak_sensitivity": 2.2},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_torch_and_octave_agree_stage_by_stage(name):
    pair = wide_pair(len(name), 53, 67)
    ours = hdrvdp2(*pair, keep_stages=True, **SETTINGS[name])
    theirs = hdrvdp2(*pair, keep_stages=True, engine="octave", **SETTINGS[name])
    assert largest_difference(ours, theirs) < TOLERANCE


def test_code_values_displays_batches_and_emission_go_through(generator):
    reference = torch.rand(2, 3, 30, 34, generator=generator, dtype=torch.float64)
    test = (reference + 0.02).clamp(0, 1)
    emission = np.random.default_rng(0).uniform(0.1, 0.5, (3, 4))
    cases = [
        {
            "encoding": "sRGB-display",
            "pixels_per_degree": torch.tensor([30.0, 50.0]),
            "surround_l": torch.tensor([2.0, 30.0]),
        },
        {"display": "standard_hdr_pq"},
        {"encoding": "rgb-bt.709", "pixels_per_degree": 30, "emission": emission, "check_values": False},
    ]
    for settings in cases:
        ours, theirs = (hdrvdp2(test, reference, engine=engine, **settings) for engine in ("torch", "octave"))
        assert torch.allclose(ours.C_max, theirs.C_max, rtol=1e-10)
        assert torch.allclose(ours.Q, theirs.Q, atol=1e-9)
    assert "octave" in theirs.settings["versions"]


def test_octave_gives_arrays_for_arrays_and_no_gradient(pair):
    arrays = [image[0, 0].numpy() for image in pair]
    result = hdrvdp2(*arrays, encoding="luminance", pixels_per_degree=30, engine="octave")
    assert isinstance(result.P_map, np.ndarray) and result.P_map.shape == arrays[0].shape
    with pytest.raises(ValueError, match="no gradient"):
        hdrvdp2(pair[0].requires_grad_(), pair[1], encoding="luminance", pixels_per_degree=30, engine="octave")


@pytest.fixture(scope="module")
def octave_result():
    pair = wide_pair(5, 53, 67)
    return pair, hdrvdp2(*pair, keep_stages=True, engine="octave", **SETTINGS["colour"])


PLANTED = [
    name
    for name, value in dataclasses.asdict(DEFAULT_PARAMETERS).items()
    # A bound that this light does not touch, and guards against 0, change nothing; sizes of tables are integers.
    if name not in ("light_range_cdm2", "least_cone_sensitivity", "pooling_epsilon", "quality_least_difference")
    and isinstance(value, float | tuple)
]


@pytest.mark.parametrize("name", PLANTED)
def test_a_wrong_constant_in_torch_is_seen(name, octave_result):
    pair, truth = octave_result
    value = getattr(DEFAULT_PARAMETERS, name)
    wrong = tuple(1.001 * x for x in value) if isinstance(value, tuple) else 1.001 * value
    metric = HDRVDP2(parameters=dataclasses.replace(DEFAULT_PARAMETERS, **{name: wrong}), **SETTINGS["colour"])
    assert largest_difference(metric(*pair, keep_stages=True), truth) > TOLERANCE


PLANTED_IN_OCTAVE = {
    "vdp_ncsf.m": r"3\.79542",
    "vdp_contrast_masking.m": r"1\.52512",
    "vdp_light_scatter.m": r"0\.061466549455263",
    "vdp_receptor_sensitivity.m": r"2\.9899",
    "vdp_quality.m": r"0\.2690?\b",
    "vdp_sp3_filters.m": r"0\.7303866148",
}


@pytest.mark.parametrize("file", PLANTED_IN_OCTAVE)
def test_a_wrong_constant_in_octave_is_seen(file, octave_result, tmp_path):
    pair, _ = octave_result
    program = tmp_path / "program"
    shutil.copytree(Path(octave.__file__).parent, program, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    source = (program / file).read_text()
    changed, count = re.subn(PLANTED_IN_OCTAVE[file], lambda found: f"{1.001 * float(found[0]):.12g}", source)
    assert count >= 1, f"{file} no longer writes this number so"
    (program / file).write_text(changed)
    ours = hdrvdp2(*pair, keep_stages=True, **SETTINGS["colour"])
    arrays = (image[0].permute(1, 2, 0).numpy() for image in pair)
    settings = {**SETTINGS["colour"], "program_dir": program}
    wrong = octave.run(*arrays, **settings)
    error = np.abs(wrong["C_map"] - ours.C_map[0, 0].numpy()).max() / wrong["C_map"].max()
    assert max(error, abs(wrong["Q"] - float(ours.Q))) > TOLERANCE


def test_benchmark_runs_the_reference_elsewhere_too():
    pair = tuple((image / image.amax()).float() for image in wide_pair(1, 40, 44))
    found = benchmark(pairs=[pair], repeats=1, engine="octave")
    row = next(row for row in found.rows if row["side"] == "octave")
    assert row["time"] > 0 and "gradient_time" not in row
    assert row["log10_C_max"] < 1e-9 and row["achromatic"] < 1e-9
    assert len(found.table().columns) == 1 + 3
