"""The index of what a model sees in pictures: exact, fresh, and sound whatever comes and goes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.orm import Session

from nimakit.web.db.features import all_features, write_features
from nimakit.web.db.tables import Collection, Image
from nimakit.web.similarity import index as similarity_index
from nimakit.web.similarity.index import Index, Indexes
from web.conftest import MakeStudy
from web.study import Study, on_both

SIZE = 24
COUNT = 300


@pytest.fixture
def study(make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Some hundred pictures whose features are random, and which are looked at anew at every request."""
    monkeypatch.setattr(similarity_index, "_MIN_SECONDS_BETWEEN_READS", -1.0)
    study = make_study()
    random = np.random.default_rng(1)

    def fill(session: Session) -> None:
        collection = session.get_one(Collection, study.collection.id)
        collection.model = "made up"
        images = [
            Image(
                collection_id=collection.id,
                path=f"{n}.jpg",
                image_id=f"{n}",
                size=1,
                mtime_ns=1,
                position=0.5,
            )
            for n in range(COUNT)
        ]
        session.add_all(images)
        session.flush()
        write_features(
            session, {image.id: random.normal(size=SIZE).astype(np.float32) * 9 for image in images}
        )

    study.change(fill)
    return study


def refreshed(study: Study, index: Index) -> Index:
    """The index, brought up to the database."""
    with study.database.read() as session:
        index.refresh(session, study.collection)
    return index


def by_hand(study: Study, features: np.ndarray, count: int) -> list[tuple[int, float]]:
    """The most similar pictures, by the definition."""
    with study.database.read() as session:
        keys, vectors = all_features(session, study.collection)
    scores = vectors @ features / np.linalg.norm(vectors, axis=1) / np.linalg.norm(features)
    best = np.argsort(-scores)[:count]
    return [(int(keys[place]), float(scores[place])) for place in best]


def test_the_search_is_exact(study: Study) -> None:
    """The pictures and their cosines are those of the definition."""
    index = refreshed(study, Index())
    random = np.random.default_rng(2)
    for _ in range(10):
        features = random.normal(size=SIZE).astype(np.float32)
        found = index.nearest(features, 12)
        expected = by_hand(study, features, 12)
        exact = dict(by_hand(study, features, COUNT))
        assert [*found.values()] == pytest.approx([exact[image] for image in found], abs=1e-3)
        # Two that differ by less than the rounding may change places.
        assert [exact[image] for image in found] == pytest.approx([score for _, score in expected], abs=1e-3)


def test_vectors_have_length_one(study: Study) -> None:
    """So that their product is the cosine; a picture without features has none."""
    index = refreshed(study, Index())
    [image, *_] = index.images().tolist()
    vector = index.vector(image)
    assert vector is not None
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)
    assert index.vector(10**6) is None


@on_both
def test_pictures_come_change_and_go(study: Study) -> None:
    """The index follows the database."""
    index = refreshed(study, Index())
    first, second, *_ = index.images().tolist()
    target = np.eye(SIZE, dtype=np.float32)[0]

    def change(session: Session) -> None:
        session.get_one(Image, first).state = "missing"
        image = session.get_one(Image, second)
        image.mtime_ns = 2
        new = Image(
            collection_id=image.collection_id,
            path="new.jpg",
            image_id="new",
            size=1,
            mtime_ns=1,
            position=0.5,
        )
        session.add(new)
        session.flush()
        write_features(session, {second: target, new.id: target * 3})

    study.change(change)
    refreshed(study, index)
    assert len(index) == COUNT
    found = index.nearest(target, COUNT + 1)
    assert {*[*found][:2]} == {second, max(index.images())}
    assert [*found.values()][:2] == pytest.approx([1, 1])
    assert {*found} == {*index.images().tolist()}
    assert first not in found
    assert index.vector(first) is None


def test_another_model_starts_anew(study: Study) -> None:
    """Also one whose features are of another size."""
    index = refreshed(study, Index())
    [image, *_] = index.images().tolist()
    study.change(lambda session: write_features(session, {image: np.ones(5, np.float32)}))
    study.set(model="another")
    refreshed(study, index)
    # What is of another size than the first is passed over, and nothing fails.
    assert len(index) in (1, COUNT - 1)
    assert index.nearest(np.ones(7, np.float32), 3) == {}


def test_a_model_replaced_under_its_name_starts_anew(study: Study) -> None:
    """Its vectors mean something else, though pictures and name are the same."""
    index = refreshed(study, Index())
    before = index.vector(next(iter(index.images())))

    def replace(session: Session) -> None:
        collection = session.get_one(Collection, study.collection.id)
        collection.model_probe = [1.0, 2.0]
        write_features(session, {int(image): np.ones(SIZE, np.float32) for image in index.images()})

    study.change(replace)
    after = refreshed(study, index).vector(next(iter(index.images())))
    assert before is not None
    assert after is not None
    np.testing.assert_allclose(after, np.full(SIZE, SIZE**-0.5), atol=1e-3)
    assert not np.allclose(before, after)


def test_the_last_indexes_asked_for_are_kept(study: Study) -> None:
    """Each takes memory: an old one goes and is made again when it is asked for."""
    indexes = Indexes()
    with study.database.read() as session:
        first = indexes.of(session, study.collection)
        assert indexes.of(session, study.collection) is first
        for number in range(similarity_index._MAX_CACHED):
            indexes.of(session, Collection(id=1000 + number, model="made up"))
        assert indexes.of(session, study.collection) is not first


def test_what_has_no_length_is_like_nothing(study: Study) -> None:
    """Neither asked for nor found does it fail."""
    index = refreshed(study, Index())
    for features in (np.zeros(SIZE, np.float32), np.full(SIZE, np.nan, np.float32)):
        assert {*index.nearest(features, 3).values()} == {0}


def test_a_pair_is_ranked_among_all(study: Study) -> None:
    """By a sample that is the same as long as the pictures are."""
    index = refreshed(study, Index())
    assert index.share_below(-1.1) == 0
    assert index.share_below(1.1) == 1
    assert 0.4 < index.share_below(0.0) < 0.6
    assert index.share_below(0.1) == refreshed(study, Index()).share_below(0.1)


def test_an_empty_index_finds_nothing(make_study: MakeStudy) -> None:
    """As where no model is chosen."""
    study = make_study()
    index = refreshed(study, Index())
    assert len(index) == 0
    assert index.nearest(np.ones(3, np.float32), 5) == {}
    assert index.share_below(0.5) == 0


@pytest.mark.slow
def test_the_library_is_loaded_when_it_is_needed(tmp_path: Path) -> None:
    """The app starts without it."""
    code = "import sys; import nimakit.web.app; sys.exit('faiss' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
