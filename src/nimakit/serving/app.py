"""The application: `create_app` puts models, batcher, metrics and routes together."""

from collections.abc import Callable

from flask import Flask

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
from nimakit.serving.uploads import UploadRequest


def create_app(settings: Settings, *, notify: Callable[[str], None] = say) -> Flask:
    """The application that serves some models.

    Args:
        settings: How it runs.
        notify: Told in a sentence what is slow or broken.

    Returns:
        A WSGI application; its models are loaded, its threads run.

    Raises:
        ModelError: No model can be used.
    """
    app = Flask("nimakit.serving")
    app.request_class = UploadRequest
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.merge_slashes = False
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.max_body_bytes  # a picture without a file name is a field
    app.config["MAX_FORM_PARTS"] = settings.max_images + 1  # one too many gets an answer that says so
    metrics = Metrics()
    models = load_models(settings, notify=notify)
    for model in models:
        metrics.describe(model.name, model.model)
    app.extensions[EXTENSION] = app.extensions[FRONT] = Service(settings, models, metrics)
    problems.install(app)
    middleware.install(app, settings)
    for blueprint in (api, inference, pages):
        app.register_blueprint(blueprint)
    return app
