"""Where shipped data files are found: in a checkout, and in an installed wheel."""

from __future__ import annotations

from openfusion_auto import data


def test_in_a_checkout_they_are_beside_the_package():
    root = data.data_root()
    assert (root / "candidates" / "default.toml").is_file()
    assert (root / "receipts" / "schemas").is_dir()
    assert (root / "openfusion_auto" / "data.py").is_file()


def test_in_a_wheel_they_are_inside_the_package(monkeypatch, tmp_path):
    package = tmp_path / "openfusion_auto"
    (package / "_data").mkdir(parents=True)
    monkeypatch.setattr(data, "__file__", str(package / "data.py"))
    assert data.data_root() == package / "_data"
    (package / "_data").rmdir()
    assert data.data_root() == tmp_path


def test_the_readers_weights_are_there_and_fit_each_other():
    names, rarity, weights, bias, scale = data.reading_weights()
    assert len(names) == len(set(names)) == len(rarity) == len(weights)
    assert weights.shape[1] == bias.shape[0] == scale.shape[0] == 16
    assert str(weights.dtype) == "int8"  # in units of `scale`
    assert str(rarity.dtype) == str(bias.dtype) == str(scale.dtype) == "float32"
