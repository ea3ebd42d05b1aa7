"""What is written is what is read, and nothing damaged or foreign passes for a shard."""

import pickle

import h5py
import numpy as np
import pytest
import torch
from small_sets import EVERY_STAGE, make, make_whole, small_recipe, targets
from torch.utils.data import BatchSampler, DataLoader

from vdp_distill import dataset, pipeline, shards
from vdp_distill.dataset import ShardDataset
from vdp_distill.packing import PACKINGS, pack, pack_light, unpack, unpack_light
from vdp_distill.pipeline import Retina
from vdp_distill.shard_reader import ShardReader
from vdp_distill.targets import IMAGES, complete, exact_metric
from vdp_distill.training.divergence import named


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_whole(tmp_path_factory.mktemp("data") / "set")


def test_stored_targets_are_those_of_the_metric(folder):
    """Every stage and map of every sample against the metric on the light that the reader gives."""
    data = ShardDataset(folder)
    metric = exact_metric()
    for index in (0, 9, 19):
        sample = data[index]
        conditions = {
            name.split("/")[1]: value[None] for name, value in sample.items() if name.startswith("conditions/")
        }
        lights = (sample[f"light/{image}"][None] for image in ("test", "reference"))
        exact = complete(metric, *lights, conditions, EVERY_STAGE, ("P_map", "C_map", "gradient"))
        assert exact.keys() <= sample.keys()
        for name, value in exact.items():
            error = (sample[name] - value[0]).abs().max()
            packing = PACKINGS.get(shards.field_name(name))
            if packing is not None and packing.log10:
                error = (sample[name] / value[0] - 1).abs().max()
            assert error <= 2e-3 * max(1e-6, 1 if packing and packing.log10 else float(value.abs().max())), name


@pytest.mark.parametrize("name", ["light_scatter", "pyramid", "P_map"])
def test_packing_and_back(name):
    rng = np.random.default_rng(1)
    values = {
        "light_scatter": 10 ** rng.uniform(-4, 4, (3, 2, 16, 16)),
        "pyramid": rng.standard_normal((3, 2, 16, 16)) * 1e6,
        "P_map": rng.random((3, 1, 16, 16)),
    }[name].astype(np.float32)
    stored, scaling = pack(values, PACKINGS[name], "float16")
    for row in range(3):
        scale = None if scaling is None else torch.from_numpy(scaling[row])
        back = unpack(torch.from_numpy(stored[row]), scale, PACKINGS[name].log10).numpy()
        if PACKINGS[name].log10:
            np.testing.assert_allclose(back, values[row], rtol=5e-3)
        else:
            assert np.abs(back - values[row]).max() <= np.abs(values[row]).max() * 2**-11 * 1.01
    exact, none = pack(values, PACKINGS[name], "float32")
    assert none is None and (exact == values).all()


def test_zero_stays_zero_and_light_codes_are_fine_enough():
    stored, scaling = pack(np.zeros((1, 1, 4, 4), np.float32), PACKINGS["pyramid"], "float16")
    assert not unpack(torch.from_numpy(stored[0]), torch.from_numpy(scaling[0]), False).any()
    light = np.logspace(-4.9, 4.9, 1000).astype(np.float32)
    codes = torch.from_numpy(pack_light(light).astype(np.float32)) / 65535
    np.testing.assert_allclose(unpack_light(codes).numpy(), light, rtol=2e-4)


def test_inputs_alone_are_enough(tmp_path, folder):
    """A set of inputs gives the targets that a full set of the same recipe holds."""
    make(small_recipe(targets=targets(store="inputs")), tmp_path / "inputs")
    fields = ("stages/achromatic/test", "P_map", "P_det", "inputs/test")
    lean, full = ShardDataset(tmp_path / "inputs", fields), ShardDataset(folder, fields)
    for index in (0, 7, 13):
        assert torch.equal(lean[index]["inputs/test"], full[index]["inputs/test"])
        torch.testing.assert_close(lean[index]["P_det"], full[index]["P_det"], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(lean[index]["P_map"], full[index]["P_map"], rtol=0, atol=1e-3)


def test_early_stages_are_found_without_the_cortex(tmp_path, folder, monkeypatch):
    """The same values as with it, to the last bit."""
    make(small_recipe(targets=targets(store="inputs")), tmp_path / "inputs")
    early = tuple(f"stages/{stage}/{image}" for stage in Retina._fields for image in IMAGES)
    whole = ShardDataset(tmp_path / "inputs", (*early, "P_det"))[7]
    monkeypatch.setattr(pipeline, "cortex", None)
    alone = ShardDataset(tmp_path / "inputs", early)[7]
    assert tuple(alone) == early
    assert all(torch.equal(alone[field], whole[field]) for field in early)


def test_workers_shuffle_and_pickle(folder):
    data = ShardDataset(folder, ["inputs/test", "P_map", "samples/index"])
    data[0]
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again[11]["P_map"], data[11]["P_map"])
    loader = DataLoader(data, batch_size=5, shuffle=True, num_workers=2, generator=torch.Generator().manual_seed(0))
    seen = torch.cat([batch["samples/index"] for batch in loader])
    assert sorted(seen.tolist()) == list(range(20))


def test_a_batch_holds_what_its_samples_hold(folder):
    """Out of order, from every shard, twice, from the end; light, columns, and stages of every packing."""
    data, asked = ShardDataset(folder), [17, 3, 3, -1, 0, 11, 8, 19]
    for sample, index in zip(data.__getitems__(asked), asked, strict=True):
        alone = data[index]
        assert list(sample) == list(alone) == list(data.fields)
        assert all(torch.equal(sample[name], value) for name, value in alone.items())
    assert data.__getitems__([]) == []
    with pytest.raises(IndexError, match="sample 20 of 20"):
        data.__getitems__([1, 20])


def test_a_batch_is_its_samples_together(folder, tmp_path):
    """Stored fields, and those that are computed from the inputs."""
    make(small_recipe(targets=targets(store="inputs")), tmp_path / "inputs")
    lean, full = ShardDataset(tmp_path / "inputs", ["P_det", "samples/index"]), ShardDataset(folder)
    for data in (lean, full):
        batch = data[[12, 3, -1]]
        assert list(batch) == list(data.fields)
        for place, index in enumerate((12, 3, 19)):
            assert all(torch.equal(batch[name][place], value) for name, value in data[index].items())
    sampler = BatchSampler(range(20), 8, drop_last=False)
    loader = DataLoader(full, sampler=sampler, batch_size=None)
    assert torch.cat([batch["samples/index"] for batch in loader]).tolist() == list(range(20))
    with pytest.raises(ValueError, match="at least one sample, got none"):
        full.batch([])


def test_samples_are_what_hdf5_itself_reads(folder, tmp_path):
    """The same values through HDF5's own filters and plain NumPy: a float16 sum of products, or codes over 65535."""
    maps = ("P_map", "C_map", "gradient")
    make(small_recipe(targets=targets(stages=EVERY_STAGE, maps=maps, compression="gzip")), tmp_path / "gzip")
    data, asked = ShardDataset(folder, [*PLAIN, "C_map"]), [13, 2, 19, 7, 0]
    batch = data.batch(asked)
    for place, index in enumerate(asked):
        with h5py.File(shards.shard_paths(tmp_path / "gzip")[index // 8], locking=False) as file:
            for name in PLAIN:
                codes = file[name][index % 8].astype(np.float32)
                np.testing.assert_array_equal(batch[name][place].numpy(), codes / np.float32(65535))
            shift, scale = file["scaling/C_map"][index % 8]
            plain = file["C_map"][index % 8].astype(np.float32) * scale + shift
        np.testing.assert_array_equal(batch["C_map"][place].numpy(), plain)


PLAIN = ("inputs/test", "inputs/reference")


def test_a_batch_opens_each_shard_once(folder, monkeypatch):
    opened = []
    monkeypatch.setattr(dataset, "FILES_OPEN", 1)
    monkeypatch.setattr(dataset, "ShardReader", lambda path: opened.append(path) or ShardReader(path))
    data = ShardDataset(folder, ["P_map"])
    opened.clear()
    data.__getitems__([9, 1, 18, 10, 2, 19])
    assert len(opened) == 3


def test_splits_divide_the_set_by_source(folder):
    whole = ShardDataset(folder)
    parts = {}
    for split in ("train", "val", "test"):
        try:
            parts[split] = ShardDataset(folder, ["samples/index"], split=split)
        except ValueError as error:
            assert "no sample of the split" in str(error)
    assert sum(map(len, parts.values())) == len(whole) == 20
    assert parts["train"].text("samples/split") == ["train"] * len(parts["train"])


def test_unknown_fields_splits_and_samples_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="did you mean 'P_map'"):
        ShardDataset(folder, ["P_mapp"])
    with pytest.raises(ValueError, match="split must be"):
        ShardDataset(folder, split="training")
    with pytest.raises(IndexError):
        ShardDataset(folder)[20]
    with pytest.raises(FileNotFoundError, match="no shards"):
        ShardDataset(tmp_path)
    with pytest.raises(FileNotFoundError, match="no data set"):
        dataset.verify(tmp_path)


def test_shards_of_the_first_format_are_read(folder, tmp_path):
    """They had HDF5's own deflate and no Fletcher checksum."""
    make(small_recipe(count=8, targets=targets(compression="gzip")), tmp_path / "old")
    path = shards.shard_paths(tmp_path / "old")[0]
    with h5py.File(path, "r+") as file:
        values = file["P_map"][:]
        del file["P_map"]
        file.create_dataset("P_map", data=values, chunks=(1, *values.shape[1:]), compression="gzip", shuffle=True)
        file.attrs["format"] = "vdp_distill shard 1"
    old, new = (ShardDataset(where, ["inputs/test", "P_map"]) for where in (tmp_path / "old", folder))
    for name, value in old[5].items():
        assert torch.equal(value, new[5][name])
    assert not shards.damage(path)


def test_merge_puts_sets_together(folder, tmp_path):
    maps = ("P_map", "C_map", "gradient")
    make(small_recipe(seed=9, targets=targets(stages=EVERY_STAGE, maps=maps)), tmp_path / "other")
    merged = dataset.merge([folder, tmp_path / "other"], tmp_path / "both")
    assert dataset.verify(merged).ok
    assert len(ShardDataset(merged)) == 40
    assert len(dataset.read_manifest(merged)["sets"]) == 2
    about = dataset.read_manifest(merged)
    alone = [dataset.read_manifest(part) for part in (folder, tmp_path / "other")]
    for key in ("sets", "recipes"):  # in one order, so that a sample is named by its own recipe
        assert about[key] == [*alone[0][key], *alone[1][key]]
    data = ShardDataset(merged)
    origins = [f"recipe {alone[k]['recipes'][0]['name']!r} (set {about['sets'][k][:12]})" for k in (0, 1)]
    assert [data.made_by(number) for number in (0, 19, 20, 39)] == [origin for origin in origins for _ in "ab"]
    first, second = (int(data[number]["samples/index"]) for number in (3, 23))
    # Numbers of one sample in two sets: each with its set.
    assert named(data, [3, 23]) == f"index [{first}] of {origins[0]}, index [{second}] of {origins[1]}"
    with pytest.raises(ValueError, match="more than once"):
        dataset.merge([folder, merged], tmp_path / "twice")
    with pytest.raises(FileExistsError, match="shards already"):
        dataset.merge([folder], merged)
    make(small_recipe(), tmp_path / "lean")
    with pytest.raises(ValueError, match="only sets alike"):
        dataset.merge([folder, tmp_path / "lean"], tmp_path / "no")


def test_describe_names_shapes_and_units(folder):
    about = dataset.describe(folder)
    assert about["stages/achromatic/test"]["shape"] == (1, 32, 32)
    assert about["stages/light_scatter/test"]["unit"] == "cd/m2"


def test_words_and_headers_are_no_fields(folder):
    with pytest.raises(ValueError, match=r"holds words.*\.text\('samples/distortion'\)"):
        ShardDataset(folder, ["P_map", "samples/distortion"])
    with pytest.raises(ValueError, match="no field 'header/"):
        ShardDataset(folder, ["header/recipe"])
