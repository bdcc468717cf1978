"""nimakit.images.duplicates: several copies of one picture."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_photos import COPIES, made_photo, save
from nimakit.images.duplicates import Group, find_duplicates, is_blank
from nimakit.images.files import find_images
from nimakit.images.fingerprints import FINGERPRINT, Fingerprints, fingerprint, fingerprint_files

OASIS = Path(__file__).parents[3] / "shared" / "data" / "oasis" / "images"


def _fingerprints(photos: Sequence[Image.Image | Path]) -> Fingerprints:
    return np.array([fingerprint(photo) for photo in photos], FINGERPRINT)


def _random(count: int, seed: int = 0) -> Fingerprints:
    """Fingerprints of pictures without anything in common."""
    random = np.random.default_rng(seed)
    table = np.zeros(count, FINGERPRINT)
    for name in ("hash", "mirror_hash", "edges"):
        table[name] = random.integers(0, 2**64, table[name].shape, dtype=np.uint64)
    table["contrast"] = 50
    return table


def _paths(count: int) -> list[Path]:
    """Names of files that are never opened."""
    return [Path(f"{number}.jpg") for number in range(count)]


@pytest.fixture(scope="module")
def originals() -> Fingerprints:
    """Fingerprints of forty pictures."""
    return _fingerprints([made_photo(seed) for seed in range(40)])


@pytest.mark.parametrize("name", COPIES)
def test_finds_every_copy_and_nothing_else(originals: Fingerprints, name: str) -> None:
    """Each of ten copies is grouped with its original; the other thirty pictures are in no group."""
    copies = _fingerprints([COPIES[name](made_photo(seed)) for seed in range(10)])
    groups = find_duplicates(_paths(50), np.concatenate([originals, copies]))
    assert sorted(group.members for group in groups) == [(seed, 40 + seed) for seed in range(10)]
    assert all(group.mirrored == ("mirrored" in name) and not group.identical for group in groups)
    assert all(0.5 <= group.similarity <= 1 for group in groups)


def test_files_of_equal_content_are_identical(tmp_path: Path) -> None:
    """Identical means every byte; a file with the same pixels but other bytes is only the same picture."""
    paths = [save(made_photo(1), tmp_path / "a.png"), save(made_photo(1), tmp_path / "b.png")]
    assert find_duplicates(paths, _fingerprints(paths)) == [
        Group(members=(0, 1), similarity=1.0, identical=True, mirrored=False)
    ]
    paths.append(save(made_photo(1), tmp_path / "c.bmp"))
    assert find_duplicates(paths, _fingerprints(paths)) == [
        Group(members=(0, 1, 2), similarity=1.0, identical=False, mirrored=False)
    ]


def test_blank_pictures_are_the_same_only_byte_for_byte(tmp_path: Path) -> None:
    """Two even surfaces are no duplicate, unless the file is the same."""
    names = {"a.png": (0, 0, 0), "b.png": (0, 0, 0), "c.png": (0, 0, 0), "d.png": (250, 250, 250)}
    paths = [save(Image.new("RGB", (60, 40), level), tmp_path / name) for name, level in names.items()]
    Image.new("RGB", (90, 80)).save(paths[2])
    table = _fingerprints(paths)
    assert is_blank(table).all()
    assert [(group.members, group.identical) for group in find_duplicates(paths, table)] == [((0, 1), True)]


def test_all_copies_of_a_picture_are_one_group(originals: Fingerprints) -> None:
    """All kinds of copies are found; the least similar pair gives the similarity."""
    copies = _fingerprints([change(made_photo(7)) for change in COPIES.values()])
    (group,) = find_duplicates(_paths(40 + len(copies)), np.concatenate([originals, copies]))
    assert group.members == (7, *range(40, 40 + len(copies)))
    assert group.mirrored


def test_a_higher_similarity_finds_less(originals: Fingerprints) -> None:
    """A similarity of 1 finds only maps that are equal in every bit."""
    both = np.concatenate([originals, _fingerprints([COPIES["re-encoded"](made_photo(3))]), originals[4:5]])
    both["hash"][41] ^= np.uint64(1)
    found = [find_duplicates(_paths(42), both, similarity=limit) for limit in (0.5, 1)]
    assert [group.members for group in found[0]] == [(4, 41), (3, 40)]
    assert [group.members for group in found[1]] == [(4, 41)]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_pictures_are_no_special_case(count: int) -> None:
    """No pictures, one, or two different ones have no duplicates."""
    assert find_duplicates(_paths(count), _random(count)) == []


@pytest.mark.parametrize(("seed", "others"), [(0, 0), (2, 1000)])
def test_misses_no_hash_within_eleven_bits(seed: int, others: int) -> None:
    """Wherever the differing bits are, it finds what comparing all pairs finds."""
    random = np.random.default_rng(seed)
    table = _random(400 + others, seed)
    for place in range(200):
        table[200 + place]["edges"] = table[place]["edges"]
        flips = random.choice(64, random.integers(0, 20), replace=False)
        table[200 + place]["hash"][0] = table[place]["hash"][0] ^ np.uint64(
            sum(1 << int(bit) for bit in flips)
        )
    hashes = table["hash"][:, 0]
    distance = np.bitwise_count(hashes[:200] ^ hashes[200:400])
    expected = [(place, 200 + place) for place in np.flatnonzero(distance <= 11).tolist()]
    assert sorted(group.members for group in find_duplicates(_paths(len(table)), table)) == expected
    assert 50 < len(expected) < 190


@pytest.mark.slow
def test_a_thousand_pictures_that_all_look_alike_are_one_group_quickly() -> None:
    """Frames of one video do not take a comparison of each with each."""
    table = np.repeat(_random(1), 2000)
    table["edges"][:, 0, 0] ^= np.arange(2000, dtype=np.uint64)
    started = time.process_time()
    (group,) = find_duplicates(_paths(2000), table)
    assert len(group.members) == 2000
    assert time.process_time() - started < 10


@pytest.mark.skipif(not OASIS.is_dir(), reason="../shared/data/oasis/images is not here")
@pytest.mark.slow
def test_of_605_photographs_two_are_the_same(empty_cache: Path) -> None:
    """One lightning has two names and two crops; no other pictures are taken for duplicates."""
    paths = find_images(OASIS)
    groups = find_duplicates(paths, np.array(fingerprint_files(paths), FINGERPRINT))
    found = [{paths[place].stem for place in group.members} for group in groups]
    assert found == [{"Lightning 6", "Thunderstorm 8"}]
