"""nimakit.models.engine: models, ensembles, and the scoring of streams."""

import threading
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nimakit.errors import ImageError, ImageTooLargeError, ModelError, UsageError
from nimakit.images.measures import measure
from nimakit.images.photo import ImageInput, Photo, open_photo
from nimakit.models import preparation
from nimakit.models.engine import Member, Model, Scorer
from nimakit.models.metadata import Metadata
from nimakit.models.network import Network
from nimakit.models.score import Score
from nimakit.stats import histogram
from samples import SIDE, metadata, random_pixels, write_model, write_photo

PHOTOS = [random_pixels(SIDE, SIDE, seed) // 4 + 24 * seed for seed in range(8)]


def _member(folder: Path, about: Metadata, weight: float = 1.0, **options: Any) -> Member:
    path = folder / f"{len(list(folder.iterdir()))}.onnx"
    return Member(Network(write_model(path, about, **options)), weight)


def _alone(member: Member) -> list[Score]:
    return [_scored(result) for result in Scorer(Model([member])).score(PHOTOS)]


def _scored(result: Score | ImageError) -> Score:
    assert isinstance(result, Score)
    return result


def _means(model: Model, images: Sequence[ImageInput] = PHOTOS, **options: Any) -> list[float]:
    return [_scored(result).mean for result in Scorer(model, **options).score(images)]


# What Model.predict gives


def test_gives_a_distribution_for_each_image(tiny: Model) -> None:
    """Plain predictions are (bins,) rows that sum to 1, in the order of the images."""
    rows = tiny.predict(PHOTOS)
    assert all(row.shape == (10,) and row.sum() == pytest.approx(1) for row in rows)
    means = [float(histogram.mean(row, tiny.bins)) for row in rows]
    assert means == sorted(means)
    assert means == pytest.approx(_means(tiny))


def test_gives_records_that_agree_with_the_distribution(tiny: Model) -> None:
    """Mean, spread and percentile of a record follow from its distribution and the reference."""
    [record] = tiny.predict(PHOTOS[3], augmented=True)
    assert record["image"] is PHOTOS[3]
    shares = np.array(record["predictions"])
    mean = float(histogram.mean(shares, tiny.bins))
    assert record["mean_score_prediction"] == pytest.approx(mean, abs=1e-4)
    spread = histogram.standard_deviation(shares, tiny.bins)
    assert record["sd_score_prediction"] == pytest.approx(float(spread), abs=1e-4)
    rank = float(histogram.percentile(mean, [4.0, 5.5, 7.0]))
    assert record["percentile"] == pytest.approx(rank, abs=0.02)


def test_takes_one_image_or_several_of_any_kind(tiny: Model, tmp_path: Path) -> None:
    """Arrays, stacks, bytes, pictures, paths and folders give the same scores."""
    path = tmp_path / "photo.png"
    picture = Image.fromarray(PHOTOS[0])
    picture.save(path)
    kinds: list[Any] = [
        PHOTOS[0],
        PHOTOS[0][None],
        path.read_bytes(),
        picture,
        path,
        str(path),
        tmp_path,
        [path],
        (picture,),
    ]
    for kind in kinds:
        [row] = tiny.predict(kind)
        np.testing.assert_array_equal(row, tiny.predict(PHOTOS[0])[0])


def test_gives_nothing_for_no_images(tiny: Model) -> None:
    """An empty list is scored in no time."""
    assert tiny.predict([]) == []


def test_rejects_a_folder_without_images(tiny: Model, tmp_path: Path) -> None:
    """An empty folder is a mistake, not an empty result."""
    with pytest.raises(UsageError, match="must contain an image file"):
        tiny.predict(tmp_path)


def test_names_every_image_that_could_not_be_scored(tiny: Model, tmp_path: Path) -> None:
    """Plain predictions cannot contain errors: one is raised that names all broken images."""
    images: list[ImageInput] = [PHOTOS[0], tmp_path / "none.jpg", b"text"]
    with pytest.raises(ImageError, match=r"2 of 3 images .*none\.jpg: .*no such file.*image 2: "):
        tiny.predict(images)


def test_scores_the_others_where_some_images_are_broken(tiny: Model, tmp_path: Path) -> None:
    """Only the record of the broken image has an error; its neighbours have their scores."""
    first, broken, last = tiny.predict([PHOTOS[0], b"text", PHOTOS[1]], augmented=True)
    assert "none of these" in broken["error"]
    assert "mean_score_prediction" not in broken
    assert [first["mean_score_prediction"], last["mean_score_prediction"]] == pytest.approx(
        _means(tiny, PHOTOS[:2]), abs=1e-6
    )


def test_records_have_measures_on_request(tiny: Model) -> None:
    """They do not change the scores, whatever the views; distributions have no place for them."""
    for tta in ("none", "crops"):
        records = tiny.predict(PHOTOS[:2], augmented=True, tta=tta, measures=True)
        measures = [record.pop("measures") for record in records]
        assert [found["megapixels"] for found in measures] == 2 * [SIDE * SIDE / 1e6]
        assert measures[0]["contrast"] != measures[1]["contrast"]
        plain = tiny.predict(PHOTOS[:2], augmented=True, tta=tta)
        assert [r["predictions"] for r in records] == [r["predictions"] for r in plain]
    with pytest.raises(UsageError, match="measures=True needs augmented=True"):
        tiny.predict(PHOTOS[0], measures=True)


def test_passes_the_pixel_limit_on(tiny: Model) -> None:
    """An image above max_pixels is refused."""
    [record] = tiny.predict([PHOTOS[0]], augmented=True, max_pixels=SIDE * SIDE - 1)
    assert "at most 63 pixels" in record["error"]


def test_a_regression_head_only_gives_means(score_file: Path) -> None:
    """Without a distribution there is no standard deviation, and plain predictions are the mean."""
    model = Model([Member(Network(score_file))])
    [record] = model.predict(PHOTOS[2], augmented=True)
    assert (record["sd_score_prediction"], record["predictions"]) == (None, [])
    [plain] = model.predict(PHOTOS[2])
    assert plain.shape == (1,)
    ramp = np.linspace(0.5, 1.5, SIDE).reshape(1, SIDE, 1)
    assert plain[0] == pytest.approx(1 + 9 * (PHOTOS[2] * ramp / 255).mean(), abs=1e-5)


# Test-time augmentation


@pytest.mark.parametrize("tta", [True, "flips"])
def test_flips_average_the_image_and_its_mirror_image(tiny: Model, tta: Any) -> None:
    """The distribution is the mean of the two distributions."""
    photo = PHOTOS[5]
    plain, mirrored = tiny.predict([photo, photo[:, ::-1]])
    assert np.abs(plain - mirrored).max() > 1e-4
    np.testing.assert_allclose(tiny.predict(photo, tta=tta)[0], (plain + mirrored) / 2, atol=1e-7)


def test_crops_average_ten_views(tiny: Model) -> None:
    """Centre and corners at seven eighths of each side, each with its mirror image."""
    photo = random_pixels(SIDE * 8, SIDE * 8, 1)
    views = []
    for top, left in ((4, 4), (0, 0), (0, 8), (8, 0), (8, 8)):
        part = photo[top : top + 56, left : left + 56]
        views += [part, np.asarray(Image.fromarray(part).resize((SIDE, SIDE), 0))[:, ::-1]]
    expected = np.mean(tiny.predict(views), axis=0)
    np.testing.assert_allclose(tiny.predict(photo, tta="crops")[0], expected, atol=1e-6)


# Ensembles


def test_averages_distributions_over_the_same_bins_by_weight(tmp_path: Path) -> None:
    """Weights are relative: 1 and 3 are a quarter and three quarters."""
    members = [_member(tmp_path, metadata()), _member(tmp_path, metadata(), 3.0, gain=-1.0)]
    first, second = (_alone(member) for member in members)
    rows = Model(members).predict(PHOTOS)
    for row, one, other in zip(rows, first, second, strict=True):
        assert one.histogram is not None
        assert other.histogram is not None
        np.testing.assert_allclose(row, one.histogram / 4 + 3 * other.histogram / 4)


def test_averages_means_on_the_first_scale_where_bins_differ(tmp_path: Path) -> None:
    """1 to 5 is moved onto 1 to 10 end to end; the spread is that of the mixture."""
    members = [_member(tmp_path, metadata()), _member(tmp_path, metadata(bins=range(1, 6)), 3.0)]
    mixed = [_scored(score) for score in Scorer(Model(members)).score(PHOTOS)]
    for score, one, other in zip(mixed, *(_alone(member) for member in members), strict=True):
        moved, spread = 1 + (other.mean - 1) * 9 / 4, (other.sd or 0) * 9 / 4
        assert score.histogram is None
        assert score.mean == pytest.approx(one.mean / 4 + 3 * moved / 4)
        square = ((one.sd or 0) ** 2 + one.mean**2) / 4 + 3 * (spread**2 + moved**2) / 4
        assert score.sd == pytest.approx(np.sqrt(square - score.mean**2))


def test_averages_a_regression_member_by_its_mean(tmp_path: Path) -> None:
    """A member without a distribution leaves the ensemble without a spread."""
    members = [_member(tmp_path, metadata()), _member(tmp_path, metadata(bins=(0, 1)), head="score")]
    mixed = [_scored(score) for score in Scorer(Model(members)).score(PHOTOS)]
    for score, one, other in zip(mixed, *(_alone(member) for member in members), strict=True):
        assert (score.sd, score.histogram) == (None, None)
        assert score.mean == pytest.approx((one.mean + 1 + 9 * other.mean) / 2)


def test_members_get_the_input_each_of_them_wants(tmp_path: Path) -> None:
    """Sizes, filters and fits may differ from member to member."""
    members = [
        _member(tmp_path, metadata()),
        _member(tmp_path, metadata(side=16, fit="pad", resize_filter="bilinear")),
    ]
    photos = [random_pixels(20, 40, seed) for seed in range(3)]
    expected = (np.array(_means(Model(members[:1]), photos)) + _means(Model(members[1:]), photos)) / 2
    assert _means(Model(members), photos) == pytest.approx(expected)
    assert len(Model(members).preprocessings) == 2


@pytest.fixture
def jpeg(tmp_path: Path) -> Path:
    """A photograph that is 10 times as wide and high as the input of a small model."""
    pixels = np.linspace(0, 255, 80 * 80 * 3).reshape(80, 80, 3).astype(np.uint8)
    Image.fromarray(pixels ^ random_pixels(80, 80) // 8).save(tmp_path / "photo.jpg", quality=90)
    return tmp_path / "photo.jpg"


def _scaled(side: int = SIDE) -> Metadata:
    return metadata(side=side, resize_filter="bilinear", decode="scaled")


def test_a_member_sees_in_an_ensemble_what_it_sees_alone(tmp_path: Path, jpeg: Path) -> None:
    """Each needs another reduction: 4, 2, 1, and the whole picture for nearest neighbour."""
    abouts = [metadata(), _scaled(), _scaled(20), _scaled(40)]
    members = [_member(tmp_path, about) for about in abouts]
    together = Scorer(Model(members)).prepare(jpeg)
    assert not isinstance(together, ImageError)
    for member in members:
        alone = Scorer(Model([member])).prepare(jpeg)
        assert not isinstance(alone, ImageError)
        [(wanted, pixels)] = alone.views.items()
        np.testing.assert_array_equal(together.views[wanted], pixels)


@pytest.mark.parametrize(("tta", "reductions"), [("flips", [4, 2, 1]), ("crops", [2, 1])])
def test_decodes_once_for_members_that_need_the_same_pixels(
    tmp_path: Path, jpeg: Path, monkeypatch: pytest.MonkeyPatch, tta: Any, reductions: list[int]
) -> None:
    """The crops of 10 pixels' side show less of the picture, so they need more of its pixels."""
    opened: list[int] = []

    def watched(source: Any, **options: Any) -> Photo:
        photo = open_photo(source, **options)
        opened.append(photo.reduction)
        return photo

    abouts = [_scaled(10), _scaled(9), _scaled(20), metadata(), _scaled(40)]
    model = Model([_member(tmp_path, about) for about in abouts])
    monkeypatch.setattr(preparation, "open_photo", watched)
    Scorer(model, tta=tta).prepare(jpeg)
    assert opened == reductions
    opened.clear()
    Image.open(jpeg).save(tmp_path / "photo.png")
    Scorer(model, tta=tta).prepare(tmp_path / "photo.png")
    assert opened == [1]


@pytest.mark.parametrize("others", [[], [metadata()]])
def test_measures_the_whole_of_what_is_scored_reduced(
    tmp_path: Path, jpeg: Path, others: list[Metadata]
) -> None:
    """Measures do not depend on what the members see, nor do scores on the measures."""
    model = Model([_member(tmp_path, about) for about in [_scaled(), *others]])
    [record] = model.predict(jpeg, augmented=True, measures=True)
    assert record.pop("measures") == measure(open_photo(jpeg).pixels).to_dict()
    assert [record] == model.predict(jpeg, augmented=True)


def test_keeps_the_reference_only_where_all_members_share_it(tmp_path: Path) -> None:
    """Percentiles among different references cannot be mixed."""
    ranked = metadata(quantiles=(1.0, 2.0), reference="a set")
    shared = Model([_member(tmp_path, ranked), _member(tmp_path, ranked)])
    assert shared.reference == "a set"
    mixed = Model([_member(tmp_path, ranked), _member(tmp_path, metadata())])
    assert (mixed.reference_quantiles, mixed.reference) == (None, "")
    assert "percentile" not in mixed.predict(PHOTOS[0], augmented=True)[0]


def test_rejects_an_empty_ensemble() -> None:
    """A model has at least one member."""
    with pytest.raises(ModelError, match="at least one member"):
        Model([])


# Streams


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 63])
@pytest.mark.parametrize("workers", [1, 3])
def test_scores_any_number_of_images(tiny: Model, count: int, workers: int) -> None:
    """No image is lost or repeated when batches do not divide the stream evenly."""
    images = [PHOTOS[i % len(PHOTOS)] for i in range(count)]
    expected = _means(tiny)
    means = _means(tiny, images, workers=workers, batch_size=4)
    assert means == pytest.approx([expected[i % len(PHOTOS)] for i in range(count)])


def test_gives_results_in_input_order_whatever_decoding_takes(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results stay in order when some images decode slowly."""
    delays = np.random.default_rng(0).permutation(24) / 2000

    def slow_open(source: tuple[int, Any], **options: Any) -> Photo:
        time.sleep(delays[source[0]])
        return open_photo(source[1], **options)

    monkeypatch.setattr(preparation, "open_photo", slow_open)
    sources: Any = [(i, PHOTOS[i % len(PHOTOS)]) for i in range(24)]
    assert _means(tiny, sources, workers=8, batch_size=4) == pytest.approx(_means_of_repeats(tiny, 24))


def _means_of_repeats(model: Model, count: int) -> list[float]:
    rows = model.score_prepared({model.preprocessings[0]: np.stack(PHOTOS)})
    return [rows[i % len(PHOTOS)].mean for i in range(count)]


def test_takes_images_a_bounded_number_ahead(tiny: Model) -> None:
    """Memory does not grow with the number of images: only a few are read ahead."""
    taken = 0

    def sources() -> Iterator[ImageInput]:
        nonlocal taken
        for i in range(2000):
            taken += 1
            yield PHOTOS[i % len(PHOTOS)]

    ahead = 0
    for consumed, _ in enumerate(Scorer(tiny, workers=2, batch_size=4).score(sources()), start=1):
        ahead = max(ahead, taken - consumed)
    assert taken == 2000
    assert ahead <= 32


def _scoring_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("nimakit-batch")]


def test_leaves_no_thread_behind_when_closed_early(tiny: Model) -> None:
    """Closing the generator early ends all threads."""

    def endless() -> Iterator[ImageInput]:
        while True:
            yield PHOTOS[0]

    results = Scorer(tiny, workers=3).score(endless())
    assert len(list(islice(results, 3))) == 3
    assert _scoring_threads()
    results.close()  # type: ignore[attr-defined]
    assert _scoring_threads() == []


def test_passes_on_what_the_source_of_images_raises(tiny: Model) -> None:
    """An error of the source itself is not swallowed, and the threads end."""

    def failing() -> Iterator[ImageInput]:
        yield from PHOTOS
        raise RuntimeError("the camera was unplugged")

    with pytest.raises(RuntimeError, match="unplugged"):
        list(Scorer(tiny, batch_size=2).score(failing()))
    assert _scoring_threads() == []


def test_gives_an_error_in_the_place_of_a_broken_image(tiny: Model, tmp_path: Path) -> None:
    """A broken file only loses its own score, even in a batch of broken files."""
    write_photo(tmp_path / "cut.jpg", size=(64, 64))
    data = (tmp_path / "cut.jpg").read_bytes()[:-100]
    images: list[ImageInput] = [PHOTOS[0], data, PHOTOS[1], *[b""] * 6, PHOTOS[2]]
    results = list(Scorer(tiny, workers=2, batch_size=2).score(images))
    good = [i for i, result in enumerate(results) if isinstance(result, Score)]
    assert good == [0, 2, 9]
    assert [_scored(results[i]).mean for i in good] == pytest.approx(_means(tiny)[:3])


def test_refuses_large_images_one_by_one(tiny: Model) -> None:
    """The pixel limit applies to each image of a stream."""
    results = list(Scorer(tiny, max_pixels=64).score([PHOTOS[0], random_pixels(9, 9)]))
    assert [type(result) for result in results] == [Score, ImageTooLargeError]
