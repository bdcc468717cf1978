"""Flask application of the scoring server: `create_app` loads the models and registers the routes."""

import os
from collections.abc import Callable
from dataclasses import replace

from flask import Flask

from nimakit.errors import MissingExtraError
from nimakit.images.opening import load_decoders
from nimakit.progress import say
from nimakit.serving import EXTENSION, middleware, problems
from nimakit.serving.http.front import FRONT
from nimakit.serving.metrics import Metrics
from nimakit.serving.models import load_models
from nimakit.serving.routes.api import api
from nimakit.serving.routes.kserve import inference
from nimakit.serving.routes.pages import pages
from nimakit.serving.service import Service
from nimakit.serving.settings import Settings
from nimakit.serving.traces import Traces, switch
from nimakit.serving.uploads import UploadRequest


def create_app(settings: Settings, *, notify: Callable[[str], None] = say) -> Flask:
    """Create the application, load its models and start its threads.

    Args:
        settings: The server's settings.
        notify: Receives messages about slow or broken models.

    Raises:
        ModelError: No model can be used.
        MissingExtraError: None of the allowed formats can be decoded, or traces are configured without their
            libraries.
        ConfigError: The environment's settings of traces are invalid.
    """
    settings = replace(settings, formats=load_decoders(settings.formats, notify))
    if not settings.formats:
        raise MissingExtraError(
            "A server needs a format that it can decode. Install with: pip install 'nimakit[formats]'"
        )
    app = Flask("nimakit.serving")
    app.request_class = UploadRequest
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.merge_slashes = False
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.max_body_bytes  # an image without a file name is a field
    app.config["MAX_FORM_PARTS"] = settings.max_images + 1  # one more, for an error that names the limit
    metrics = Metrics()
    models = load_models(settings, notify=notify)
    for model in models:
        metrics.describe(model.name, model.model)
    traces = Traces(app) if switch(os.environ) else None  # before the middleware, which it also times
    app.extensions[EXTENSION] = app.extensions[FRONT] = Service(settings, models, metrics, traces)
    problems.install(app)
    middleware.install(app, settings)
    for blueprint in (api, inference, pages):
        app.register_blueprint(blueprint)
    return app
