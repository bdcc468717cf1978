"""Property tests: the server's parsers accept any input or name the rule it breaks."""

import io
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.test import EnvironBuilder

from generated import NUMBERS, TEXTS, VALUES, amounts, json_texts, objects, tried
from nimakit.errors import ConfigError, UsageError
from nimakit.images.files import CONTROLS
from nimakit.serving.admission import Admission
from nimakit.serving.keys import ApiKey
from nimakit.serving.routes.kserve_tensors import InferRequest, read_request
from nimakit.serving.settings import ENVIRONMENT_PREFIX, RULES, Settings, read_settings
from nimakit.serving.uploads import UploadRequest, read_uploads

_SIDES = st.one_of(st.integers(1, 3), NUMBERS)
_TENSORS = objects(
    name=st.just("image"),
    datatype=st.sampled_from(["BYTES", "UINT8", "FP32"]),
    shape=st.one_of(
        st.lists(_SIDES, max_size=5),
        st.just([1]),
        st.just([1, 1, 1, 3]),
        st.tuples(st.just(1), _SIDES, _SIDES, st.just(3)),
    ),
    data=st.one_of(
        st.lists(st.one_of(st.integers(0, 255), NUMBERS, TEXTS), max_size=4),
        st.lists(NUMBERS, min_size=3, max_size=3),
        st.lists(st.lists(NUMBERS, max_size=2), max_size=2),
    ),
    parameters=objects(binary_data_size=st.integers(0, 12)),
)
_REQUESTS = objects(
    id=TEXTS,
    parameters=objects(tta=st.sampled_from(["none", "flips"]), binary_data_output=st.booleans()),
    inputs=st.lists(_TENSORS, min_size=1, max_size=1),
    outputs=st.lists(objects(name=st.just("predictions"), parameters=objects(binary_data=st.booleans()))),
)


@amounts
def test_any_inference_request_is_read_or_refused(amount: int) -> None:
    """By a rule, in a message of bounded length."""

    def check(case: tuple[str, bytes, int]) -> None:
        text, binary, off = case
        head = text.encode("utf-8", "surrogatepass")
        found = read_request(head + binary, len(head) + off if binary or off else None, 4)
        assert isinstance(found, InferRequest)
        assert 0 < len(found.images) <= 4

    binary = st.one_of(st.just(b""), st.binary(max_size=12))
    sizes = st.sampled_from([0, 0, 0, -1, 1, -(10**9)])
    tried(amount, st.tuples(json_texts(_REQUESTS), binary, sizes), check, UsageError)


@amounts
def test_any_body_is_images_or_refused(amount: int) -> None:
    """A form, an image, or an error with a status of the client's."""
    part = st.builds(
        lambda head, content: b"--b\r\n" + head + b"\r\n\r\n" + content + b"\r\n",
        st.one_of(
            TEXTS.map(
                lambda name: (
                    b'Content-Disposition: form-data; name="image"; filename="%b"'
                    % name.encode("utf-8", "replace")
                )
            ),
            st.just(b'Content-Disposition: form-data; name="other"'),
            st.binary(max_size=40),
        ),
        st.binary(max_size=20),
    )
    bodies = st.one_of(
        st.lists(part, max_size=4).map(lambda parts: b"".join(parts) + b"--b--\r\n"), st.binary(max_size=60)
    )
    kinds = st.sampled_from(
        ["multipart/form-data; boundary=b", "multipart/form-data", "image/png", "text/plain", "",
         "multipart/form-data; boundary=\"", "application/octet-stream", "a/b; c*=utf-9''%ff"]
    )  # fmt: skip

    forms = Admission(1_000_000)

    def check(case: tuple[bytes, str]) -> None:
        body, kind = case
        builder = EnvironBuilder(method="POST", input_stream=io.BytesIO(body))
        environ = builder.get_environ() | {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body))}
        request = UploadRequest(environ)
        uploads = read_uploads(request, 3, forms)
        assert 0 < len(uploads) <= 3
        assert not any(CONTROLS.search(upload.image_id) for upload in uploads)

    refusals = (BadRequest, RequestEntityTooLarge, UnsupportedMediaType)
    tried(amount, st.tuples(bodies, kinds), check, refusals)


@amounts
def test_any_environment_makes_settings_or_names_its_broken_rules(amount: int, tmp_path: Path) -> None:
    """As does any command line."""
    names = st.sampled_from([*RULES, "portt"])
    variables = st.dictionaries(
        names.map(lambda name: ENVIRONMENT_PREFIX + name.upper()),
        json_texts(VALUES).map(lambda text: text.replace("\0", "")),
        max_size=3,
    )
    options = st.dictionaries(names, VALUES, max_size=2)

    def check(case: tuple[dict[str, str], dict[str, Any]]) -> None:
        environment, given = case
        found = read_settings(environment=environment, options=given)
        assert isinstance(found, Settings)
        assert all(isinstance(key, ApiKey) for key in found.api_keys)

    tried(amount, st.tuples(variables, options), check, ConfigError)
