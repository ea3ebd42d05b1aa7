"""The Octave program meets the goldens, and refuses wrong arguments."""

import numpy as np
import pytest
from octave_calls import CASES, assert_meets, golden_call, golden_stages, needs_octave, small_call

from vdp_distill import octave

pytestmark = needs_octave


@pytest.mark.parametrize("name", CASES)
def test_program_meets_golden(name):
    golden, call = golden_call(name)
    result = octave.run(**call, keep_stages=True)
    assert len(golden_stages(golden)) >= 16
    assert_meets(result, golden, golden_stages(golden))


def test_stages_are_absent_unless_asked():
    assert set(octave.run(**small_call())) == {"P_map", "C_map", "P_det", "C_max", "Q", "versions"}


def test_identical_images_give_exactly_zero():
    call = small_call()
    result = octave.run(**{**call, "test": call["reference"]})
    assert (result["P_det"], result["C_max"], result["Q"]) == (0.0, 0.0, 100.0)


def test_generic_encoding_with_the_displays_matrix_is_that_display():
    golden, call = golden_call("bt709_hdr_noise_128")
    expected = octave.run(**call)
    call["encoding"] = "generic"
    result = octave.run(**call, spectral_matrix=golden["spectral_matrix"])
    assert result["C_max"] == pytest.approx(expected["C_max"], rel=1e-12)


def test_surround_one_a_channel():
    _, call = golden_call("srgb_noise_117x131")
    expected = octave.run(**{**call, "surround_l": 20.0})
    result = octave.run(**{**call, "surround_l": [20.0, 20.0, 20.0]})
    assert result["C_max"] == expected["C_max"]
    assert octave.run(**{**call, "surround_l": [20.0, 20.0, 90.0]})["C_max"] != expected["C_max"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoding": "srgb"}, "encoding must be one of"),
        ({"encoding": "sRGB-display"}, "has 3 channels, got 1"),
        ({"test": np.ones((4, 4))}, "one shape"),
        ({"test": np.full((40, 36), np.nan)}, "finite"),
        ({"pixels_per_degree": 0.0}, "positive"),
        ({"engine": "matlab"}, "engine must be"),
        ({"encoding": "generic"}, "needs spectral_matrix"),
        ({"spectral_matrix": np.ones((3, 4))}, r"shape \(1, 4\)"),
        ({"engine": "original", "keep_stages": True}, "no keep_stages"),
    ],
)
def test_wrong_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        octave.run(**{**small_call(), **change})
