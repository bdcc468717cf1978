"""Routes for people and monitoring: the page for trying the server, its OpenAPI description, its metrics."""

from importlib import resources

from flask import Blueprint, Response, current_app
from prometheus_client import CONTENT_TYPE_LATEST

from nimakit.serving.service import current_service

pages = Blueprint("pages", __name__)


@pages.get("/")
def index() -> Response:
    """The page for trying the server by drag and drop."""
    return current_app.send_static_file("index.html")


@pages.get("/openapi.json")
def openapi() -> Response:
    """The description of every route (OpenAPI 3.1)."""
    text = resources.files("nimakit.serving").joinpath("openapi.json").read_bytes()
    return Response(text, content_type="application/json")


@pages.get("/metrics")
def metrics() -> Response:
    """Metrics in Prometheus's text format."""
    return Response(current_service().metrics.text(), content_type=CONTENT_TYPE_LATEST)
