"""nimakit.serving.routes.api: scores of uploads, and the models."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients import Client, client, encode, form, noise, service
from nimakit.errors import BusyError, ImageError
from nimakit.images.measures import measure
from nimakit.images.photo import open_photo
from nimakit.models.engine import Model, Scorer
from nimakit.models.score import score_record
from nimakit.serving import problems
from photo_formats import SAMPLES, dng
from samples import png_header
from terminal import Command

HEIC = (SAMPLES / "orientation_6.heic").read_bytes()
SAMPLE = Path(__file__).parents[3] / "data" / "samples"


def _expected(model: Model, content: bytes, **options: Any) -> dict[str, Any]:
    [score] = Scorer(model, **options).score([content])
    assert not isinstance(score, ImageError)
    return score_record(score)


def test_a_form_of_files_gives_a_record_each(web: Client, tiny: Model) -> None:
    """In the order of the files, as the engine scores them."""
    files = [("b.png", noise(1)), ("a.jpg", encode(90, "JPEG")), ("b.png", noise(2))]
    response = web.post("/predict", data=form(*files))
    assert response.status_code == 200
    for (name, content), record in zip(files, response.json, strict=True):
        expected = {"image_id": name.split(".")[0], **_expected(tiny, content)}
        assert list(record) == list(expected)
        assert record["image_id"] == expected["image_id"]
        assert record["mean_score_prediction"] == pytest.approx(expected["mean_score_prediction"], abs=1e-5)
        assert record["predictions"] == pytest.approx(expected["predictions"], abs=1e-5)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "HEIF", "AVIF", "JXL"])
def test_a_body_is_an_image(web: Client, tiny: Model, image_format: str) -> None:
    """Of any format that is allowed by default, whatever the type in the header says."""
    content = HEIC if image_format == "HEIF" else encode(90, image_format)
    response = web.post("/predict", data=content, content_type="image/jpeg")
    assert response.json == [{"image_id": "image_1", **_expected(tiny, content)}]


def test_answers_are_those_of_the_command_line(nimakit: Command, web: Client, tiny_file: Path) -> None:
    """The same photograph gets the same record from both, to the last digit."""
    photo = SAMPLE / "osprey_exif_rotated.jpg"
    views = ("none", "flips", "crops")
    given = ("predict", "--image-source", photo, "--model", tiny_file)
    told = {tta: nimakit(*given, "--tta", tta).records for tta in views}
    for tta in views:
        answer = web.post(f"/predict?tta={tta}", data=form((photo.name, photo.read_bytes())))
        assert answer.json == told[tta]


def test_measures_are_added_on_request(web: Client) -> None:
    """The same as Python gives; without the query, or if it is false, there are none."""
    photo = (SAMPLE / "coffee.jpg").read_bytes()
    files = form(("a.jpg", photo), ("b.jpg", b"broken"))
    [record, broken] = web.post("/predict?measures=true", data=files).json
    assert record.pop("measures") == measure(open_photo(photo).pixels).to_dict()
    assert list(broken) == ["image_id", "error"]
    for query in ("", "?measures=false"):
        [plain] = web.post(f"/predict{query}", data=form(("a.jpg", photo))).json
        assert plain == record


def test_models_side_by_side_have_the_measures_once(web: Client) -> None:
    """Next to the scores of each model, not among them."""
    photo = form(("a.png", noise()))
    [record] = web.post("/predict?model=score&model=tiny&measures=true", data=photo).json
    assert list(record) == ["image_id", "score", "tiny", "measures"]
    assert "measures" not in record["score"] | record["tiny"]
    assert record["measures"]["megapixels"] == 64e-6


def test_a_picture_without_a_file_name_is_named(web: Client) -> None:
    """However large it is: as a field of the form it is no file."""
    head, end = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n', b"\r\n--x--\r\n"
    body = head + 600_000 * b"x" + end
    response = web.post("/predict", data=body, content_type="multipart/form-data; boundary=x")
    assert response.status_code == 400
    assert "Received: `image` without a file name" in response.json["detail"]


def test_the_model_is_chosen_by_name(web: Client) -> None:
    """A regression head has no distribution, and its record says so."""
    record = web.post("/predict?model=score", data=form(("a.png", noise()))).json[0]
    assert (record["sd_score_prediction"], record["predictions"]) == (None, [])
    assert "percentile" not in record


def test_normalize_stretches_the_scores_of_the_request(web: Client) -> None:
    """0 for the lowest mean, 1 for the highest; images without a score have none."""
    files = [("a.png", encode(20)), ("b.png", b"broken"), ("c.png", encode(240)), ("d.png", encode(120))]
    records = web.post("/predict?normalize=minmax", data=form(*files)).json
    assert [record.get("normalized_score") for record in records][:3] == [0, None, 1]
    assert 0 < records[3]["normalized_score"] < 1


ALLOWED = "JPEG, PNG, WEBP, GIF, HEIF, AVIF, JXL"
BAD = {
    "text": (b"no image", f"must be an image ({ALLOWED}); its content is none of these"),
    "empty": (b"", "must be an image"),
    "truncated": (encode(90, "JPEG", (300, 300))[:-500], "cannot be decoded"),
    "huge": (png_header(60_000, 60_000), "at most 50000000 pixels"),
    "bmp": (encode(90, "BMP"), f"must be an image ({ALLOWED}); it is BMP"),
    "tiff": (encode(90, "TIFF"), f"must be an image ({ALLOWED}); it is TIFF"),
    "raw": (dng(preview=encode(90, "JPEG")), f"must be an image ({ALLOWED}); it is camera RAW"),
    "truncated heic": (HEIC[:-100], "a damaged HEIC"),
    "animation": ((SAMPLES / "animation.jxl").read_bytes(), "must be a single picture"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_image_among_good_ones_has_its_error(web: Client, kind: str) -> None:
    """The others have their scores."""
    content, message = BAD[kind]
    files = [("a.png", encode()), ("bad.png", content), ("c.png", encode())]
    response = web.post("/predict", data=form(*files))
    assert response.status_code == 200
    first, bad, last = response.json
    assert list(bad) == ["image_id", "error"]
    assert message in bad["error"]
    assert first["predictions"] == last["predictions"] != []


@pytest.mark.parametrize("kind", BAD)
def test_a_request_of_bad_images_alone_is_a_problem(web: Client, kind: str) -> None:
    """422, with the record of each."""
    response = web.post("/predict", data=form(("x.png", BAD[kind][0]), ("y.png", b"")))
    assert (response.status_code, response.content_type) == (422, problems.CONTENT_TYPE)
    assert [record["image_id"] for record in response.json["records"]] == ["x", "y"]
    assert BAD[kind][1] in response.json["records"][0]["error"]


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("model=other", 404, "one of tiny, score. Received: 'other'"),
        ("model=", 400, "'model' must be the name of a served model"),
        ("tta=mirror", 400, "'tta' must be one of none, flips, crops"),
        ("measures=yes", 400, "'measures' must be true or false"),
        ("normalize=yes", 400, "'normalize' must be minmax"),
        ("modle=tiny", 400, "'modle' is unknown (nearest known: 'model')"),
        ("tta=none&tta=flips", 400, "'tta' is given more than once"),
        ("model=../../etc/passwd", 404, "one of tiny, score"),
        ("model=\x80", 404, "one of tiny, score"),
    ],
)
def test_refuses_a_query(web: Client, query: str, status: int, message: str) -> None:
    """Unknown models, values and keys, whichever bytes they have."""
    sent = {"QUERY_STRING": query}
    response = web.post("/predict", data=form(("a.png", noise())), environ_overrides=sent)
    assert response.status_code == status
    assert message in response.json["detail"]


def test_limits_are_the_operator_s(tiny_file: Path) -> None:
    """Images of a request, bytes of a body, pixels of an image, and formats."""
    web = client(tiny_file, max_images=2, max_body_bytes=5000, max_pixels=100, formats=("BMP",))
    three = web.post("/predict", data=form(*3 * [("a.bmp", encode(1, "BMP"))]))
    assert (three.status_code, three.json["detail"]) == (413, "A request has at most 2 images. Received: 3.")
    many = web.post("/predict", data=form(*9 * [("a.bmp", encode(1, "BMP"))]))
    assert (many.status_code, many.json["detail"]) == (413, "A request has at most 2 images. Received: more.")
    large = web.post("/predict", data=5001 * b"x", content_type="image/bmp")
    assert (large.status_code, large.json["detail"]) == (413, "A request body must have at most 5000 bytes.")
    wide = web.post("/predict", data=encode(1, "BMP", (10, 11)), content_type="image/bmp")
    assert "at most 100 pixels. Received: 10x11" in wide.json["records"][0]["error"]
    assert web.post("/predict", data=encode(1, "BMP", (10, 10)), content_type="image/bmp").status_code == 200
    assert web.post("/predict", data=encode(1, "PNG"), content_type="image/png").status_code == 422
    service(web).close()


def test_a_picture_is_refused_by_its_header_before_it_is_decoded(
    web: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a row of a picture with too many pixels is decoded."""
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    response = web.post("/predict", data=form(("a.png", png_header(12_000, 10_000))))
    assert "at most 50000000 pixels" in response.json["records"][0]["error"]


@pytest.fixture
def busy(tiny_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A server whose queue is full."""
    web = client(tiny_file)

    def refuse() -> None:
        raise BusyError("The queue is full. Try again later.")

    monkeypatch.setattr(service(web), "check_room", refuse)
    yield web
    service(web).close()


def test_a_full_queue_is_a_503_with_retry_after(busy: Client) -> None:
    """Before anything of the request is read, under both protocols; the rest of the server answers."""
    for path in ("/predict", "/v2/models/tiny/infer"):
        response = busy.post(path, data=b"anything")
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert response.content_type == problems.CONTENT_TYPE
    assert busy.get("/models").status_code == 200
    value = service(busy).metrics.registry.get_sample_value
    assert value("nimakit_rejected_total", {"reason": "busy"}) == 2


def test_a_request_is_answered_in_time_or_refused(tiny_file: Path) -> None:
    """What takes longer than it may gets a 503."""
    web = client(tiny_file, request_timeout_s=1e-9)
    response = web.post("/predict", data=form(("a.png", noise())))
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    service(web).close()


def test_models_are_listed_and_described(web: Client) -> None:
    """The default first; each with all its metadata."""
    listed = web.get("/models").json
    assert [(model["name"], model["ready"]) for model in listed] == [("tiny", True), ("score", True)]
    described = web.get("/models/tiny").json
    assert described["members"][0]["base_model"] == "Tiny"
    assert described["reference_quantiles"] == [4.0, 5.5, 7.0]


@pytest.mark.parametrize("path", ["/models/other", "/models/..%2f..%2fetc%2fpasswd", "/models/"])
def test_an_unknown_model_is_a_404(web: Client, path: str) -> None:
    """As a problem, without anything of the file system."""
    response = web.get(path)
    assert (response.status_code, response.content_type) == (404, problems.CONTENT_TYPE)


def test_a_broken_model_says_why_and_refuses_to_score(tiny_file: Path, tmp_path: Path) -> None:
    """Its name stays; the others go on; no answer holds a path."""
    path = tmp_path / "broken.onnx"
    path.write_text("no model", "utf-8")
    web = client(tiny_file, path)
    answers = [web.get(where) for where in ("/models", "/models/broken", "/v2/models/broken")]
    answers += [web.get("/v2/models/broken/ready"), web.get("/v2/health/ready"), web.get("/metrics")]
    answers.append(web.post("/predict?model=broken", data=form(("a.png", noise()))))
    assert [answer.status_code for answer in answers] == [200, 200, 503, 503, 200, 200, 503]
    assert answers[0].json[1]["ready"] is False
    assert "must be a valid ONNX model" in answers[1].json["problem"]
    assert 'nimakit_model_info{base_models="",device="",model="broken"} 0.0' in answers[5].text
    assert not any(str(tmp_path) in answer.text for answer in answers)
    assert web.post("/predict", data=form(("a.png", noise()))).status_code == 200
    service(web).close()


def test_a_failure_of_ours_says_nothing_of_itself(
    web: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """500, with the id under which the log has the rest."""

    def fail(*_: object) -> None:
        raise RuntimeError("/secret/path: password")

    monkeypatch.setattr(Scorer, "score_batch", fail)
    response = web.post("/predict", data=form(("a.png", noise())), headers={"X-Request-ID": "r-1"})
    assert (response.status_code, response.content_type) == (500, problems.CONTENT_TYPE)
    assert "r-1" in response.json["detail"]
    assert "secret" not in response.text
    assert "password" in caplog.text
    assert "r-1" in caplog.text


@pytest.mark.parametrize(("name", "mean", "sd"), [("42039", 5.15448, 1.40392), ("42041", 5.45040, 1.43002)])
def test_published_scores_come_out(public_model: Path, name: str, mean: float, sd: float) -> None:
    """The public model's scores of two photographs, over HTTP."""
    photo = Path(__file__).parents[4] / "shared" / "data" / "ava" / "images" / f"{name}.jpg"
    if not photo.is_file():
        pytest.skip("the two photographs of AVA are not here")
    web = client(public_model)
    [record] = web.post("/predict", data=form((photo.name, photo.read_bytes()))).json
    assert record["image_id"] == name
    assert record["mean_score_prediction"] == pytest.approx(mean, abs=1e-3)
    assert record["sd_score_prediction"] == pytest.approx(sd, abs=1e-3)
    service(web).close()


def test_a_line_tells_of_each_request(web: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """Route, model, images, stages and status; never the name of a file."""
    web.post("/predict?tta=flips", data=form(("private.png", noise()), ("b.png", noise())))
    web.get("/nowhere/private")
    scored, unknown = map(json.loads, capsys.readouterr().out.splitlines())
    assert (scored["route"], scored["model"], scored["images"], scored["status"]) == (
        "/predict",
        "tiny",
        2,
        200,
    )
    for stage in ("queue_ms", "decode_ms", "inference_ms", "total_ms"):
        assert 0 <= scored[stage] <= scored["total_ms"]
    assert re.fullmatch(r"[0-9a-f]{32}", scored["id"])
    assert (unknown["route"], unknown["status"], unknown["images"]) == (None, 404, None)
    assert "private" not in json.dumps([scored, unknown])


def test_several_models_answer_side_by_side(web: Client) -> None:
    """Each record has every model's scores under its name, as each gives them on its own; all are counted."""
    files = [("a.png", noise(1)), ("b.png", b"broken"), ("c.png", noise(2))]
    both = web.post("/predict?model=score&model=tiny", data=form(*files)).json
    for name in ("tiny", "score"):
        alone = web.post(f"/predict?model={name}", data=form(*files)).json
        assert [{"image_id": r["image_id"], **r.get(name, {"error": r.get("error")})} for r in both] == alone
    assert list(both[0]) == ["image_id", "score", "tiny"]
    value = service(web).metrics.registry.get_sample_value
    assert value("nimakit_images_total", {"model": "tiny", "result": "scored"}) == 4
    stretched = web.post("/predict?model=score&model=tiny&normalize=minmax", data=form(*files)).json
    assert [
        {r[name]["normalized_score"] for r in stretched if "error" not in r} for name in ("tiny", "score")
    ] == [
        {0, 1},
        {0, 1},
    ]


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        (
            "model=tiny&model=tiny",
            400,
            "'model' must be the name of a served model, or of several, each once",
        ),
        ("model=tiny&model=other", 404, "one of tiny, score. Received: 'other'"),
        ("model=tiny&model=", 400, "'model' must be"),
        ("model=tiny&model=score&user=me", 400, "Scores of one user come from one model"),
    ],
)
def test_refuses_models_that_cannot_answer_side_by_side(
    web: Client, query: str, status: int, message: str
) -> None:
    """Before the body is read."""
    response = web.post(f"/predict?{query}", data=form(("a.png", noise())))
    assert response.status_code == status
    assert message in response.json["detail"]
