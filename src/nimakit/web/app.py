"""The application factory of the rating app: its parts, routes, sign-in and security headers."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, after_this_request, jsonify, request
from flask.json.provider import DefaultJSONProvider
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, decode_cookie, login_user  # type: ignore[import-untyped]
from flask_wtf.csrf import CSRFProtect, generate_csrf  # type: ignore[import-untyped]
from sqlalchemy import text
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.routing import IntegerConverter, Map
from werkzeug.utils import cached_property

from nimakit.images.formats import FORMATS
from nimakit.images.opening import load_decoders
from nimakit.images.photo import DECODED_BYTES
from nimakit.io.child_process import ChildProcess
from nimakit.io.sockets import LOOPBACK
from nimakit.io.threads import cores
from nimakit.progress import say
from nimakit.serving.admission import Admission
from nimakit.serving.http.front import FRONT
from nimakit.serving.http.memory import configure_child
from nimakit.serving.http.request_reader import OVERSIZED
from nimakit.serving.proxies import TrustedProxies
from nimakit.serving.quoting import QuotedRequest
from nimakit.web.access import User, current_rater, limiter
from nimakit.web.accounts import raters
from nimakit.web.accounts import routes as accounts_routes
from nimakit.web.collections import lifecycle_routes, overview, upload_routes
from nimakit.web.collections import routes as collections_routes
from nimakit.web.collections.model_choices import TRAINED, ModelChoices
from nimakit.web.collections.removal import Remover
from nimakit.web.collections.setup import ensure_admin
from nimakit.web.collections.uploads import Uploads
from nimakit.web.cull import routes as cull_routes
from nimakit.web.cull.grouping import Grouper
from nimakit.web.dashboard import routes as dashboard_routes
from nimakit.web.dashboard.cache import StatisticsCache
from nimakit.web.db.database import Database
from nimakit.web.db.tables import LARGEST_KEY
from nimakit.web.front import Front
from nimakit.web.languages import configure_languages
from nimakit.web.model import routes as model_routes
from nimakit.web.model.learner import Learner
from nimakit.web.pictures import routes as pictures_routes
from nimakit.web.pictures.renditions import Renditions
from nimakit.web.predictions.background import Background
from nimakit.web.predictions.scores import Predictor
from nimakit.web.problems import handle_errors
from nimakit.web.rating import deck, events, pages, preference
from nimakit.web.rating.compared import ComparedCache
from nimakit.web.rating.ordering import CandidateCache
from nimakit.web.rating.reservations import Reservations
from nimakit.web.rating.write_queue import WriteQueue
from nimakit.web.review import comparisons, explanation
from nimakit.web.review import pictures as review_pictures
from nimakit.web.review.explanation_jobs import Explainer
from nimakit.web.services import EXTENSION, Services, services
from nimakit.web.settings import PROXIES_VARIABLE, Settings
from nimakit.web.similarity import routes as similarity_routes
from nimakit.web.similarity.index import Indexes
from nimakit.web.study import admin as study_admin
from nimakit.web.study import check_routes
from nimakit.web.study import practice as study_practice
from nimakit.web.study import routes as study_routes
from nimakit.web.study.evidence import EvidenceCache
from nimakit.web.study.exclusion import Excluder
from nimakit.web.transfer import routes as transfer_routes
from nimakit.wording import many

BLUEPRINTS = (
    accounts_routes.blueprint,
    check_routes.blueprint,
    collections_routes.blueprint,
    overview.blueprint,
    comparisons.blueprint,
    cull_routes.blueprint,
    dashboard_routes.blueprint,
    deck.blueprint,
    events.blueprint,
    lifecycle_routes.blueprint,
    model_routes.blueprint,
    pictures_routes.blueprint,
    preference.best_worst,
    preference.preference,
    pages.rate,
    review_pictures.blueprint,
    pages.score,
    similarity_routes.blueprint,
    study_routes.blueprint,
    study_practice.blueprint,
    study_admin.blueprint,
    transfer_routes.blueprint,
    upload_routes.blueprint,
    explanation.blueprint,
)

_LARGEST_BODY = 1 << 20
_SHARED_COOKIE = "nimakit_rate_rater"
"""Cookie name of earlier versions, shared by all apps of a host."""

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class _Request(QuotedRequest):
    """A request without non-ASCII cookies, which the app never sets and Flask-Login cannot read."""

    @cached_property
    def cookies(self) -> ImmutableMultiDict[str, str]:
        """Name -> value."""
        received = super().cookies.items(multi=True)
        return ImmutableMultiDict([(name, value) for name, value in received if value.isascii()])


class _Json(DefaultJSONProvider):
    """A JSON provider that treats too deeply nested JSON as invalid."""

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Parse JSON.

        Raises:
            ValueError: The text is not JSON, or nested too deeply.
        """
        try:
            return super().loads(s, **kwargs)
        except RecursionError as error:
            raise ValueError("The JSON is nested too deeply.") from error


class _Key(IntegerConverter):
    """The id of a row in an address; ids beyond the database's range match no route."""

    regex = r"\d{1,18}"

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, max=LARGEST_KEY)


def create_app(settings: Settings, *, background: bool = True) -> Flask:
    """Create the rating app.

    Args:
        settings: Settings of the app.
        background: Whether to scan folders, predict scores and learn tastes in a background thread.

    Raises:
        StorageError: The database cannot be used.
        UsageError: Others can reach the app, and the admin has no password.
    """
    load_decoders(FORMATS, say)
    database = Database(settings.database)
    database.migrate()
    ensure_admin(database, settings)
    app = Flask(__name__)
    app.request_class = _Request
    app.json = _Json(app)
    _configure(app, settings)
    app.extensions[EXTENSION] = _services(settings, database)
    app.extensions[FRONT] = Front(app)
    app.before_request(_refuse_oversized)
    _sign_in(app, settings)
    CSRFProtect(app)
    app.url_map.converters["int"] = _Key
    limiter.init_app(app)
    configure_languages(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    handle_errors(app)
    app.after_request(_harden)
    app.add_url_rule("/session", endpoint="_session", view_func=_session)
    app.add_url_rule("/health", endpoint="_health", view_func=_health)
    if background:
        services_of(app).background.start()
    return app


def _services(settings: Settings, database: Database) -> Services:
    """The parts of an app."""
    candidates = CandidateCache()
    decoding = Admission(DECODED_BYTES * settings.max_pixels, at_once=max(2, cores()))
    predictor = Predictor(database, decoding, settings.max_pixels)
    child = ChildProcess(configure_child)
    renditions = Renditions(settings.data_dir / "pictures", decoding, settings.max_pixels)
    uploads = Uploads(settings.uploads_dir, settings.max_uploaded_bytes, child, settings.max_pixels)
    remover = Remover(
        database, (settings.users_dir, settings.models_dir), settings.uploads_dir, renditions.forget
    )
    evidence = EvidenceCache()
    return Services(
        settings=settings,
        database=database,
        write_queue=WriteQueue(database),
        comparing=Admission(DECODED_BYTES * settings.max_compared_pixels, at_once=1),
        child=child,
        renditions=renditions,
        candidates=candidates,
        compared=ComparedCache(),
        reservations=Reservations(),
        indexes=Indexes(),
        links=raters.Links(settings.secret),
        statistics=StatisticsCache(database),
        evidence=evidence,
        background=Background(
            database,
            candidates.invalidate,
            settings.users_dir,
            predictor,
            jobs=[
                Learner(database, settings.models_dir, decoding, settings.max_pixels).advance,
                Excluder(database, evidence).advance,
                Grouper(database, predictor.loaded, settings.max_pixels).advance,
            ],
            chores=[remover.advance, uploads.forget_abandoned],
        ),
        explainer=Explainer(settings.data_dir / "explanations"),
        uploads=uploads,
        models=ModelChoices([settings.models_dir, *map(Path, TRAINED)]),
    )


def _refuse_oversized() -> None:
    """Answer 413 to requests whose bodies the worker did not receive."""
    if request.environ.get(OVERSIZED):
        raise RequestEntityTooLarge


def services_of(app: Flask) -> Services:
    """The parts of an app, for use outside requests."""
    found: Services = app.extensions[EXTENSION]
    return found


def _configure(app: Flask, settings: Settings) -> None:
    secure = settings.url is not None and urlsplit(settings.url).scheme == "https"
    app.config.update(
        SECRET_KEY=settings.secret,
        MAX_CONTENT_LENGTH=_LARGEST_BODY,
        MAX_FORM_MEMORY_SIZE=_LARGEST_BODY,
        SESSION_COOKIE_NAME=f"nimakit_rate_{settings.instance}",
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=secure,
        REMEMBER_COOKIE_NAME=f"{_SHARED_COOKIE}_{settings.instance}",
        REMEMBER_COOKIE_DURATION=timedelta(days=365),
        REMEMBER_COOKIE_HTTPONLY=True,
        REMEMBER_COOKIE_SAMESITE="Lax",
        REMEMBER_COOKIE_SECURE=secure,
        WTF_CSRF_TIME_LIMIT=None,  # ratings may wait for the network for days
        RATELIMIT_HEADERS_ENABLED=False,
    )
    if settings.url is not None:
        # Otherwise links would point to whatever host the request names.
        _answer_only(app, [urlsplit(settings.url).hostname])
        app.wsgi_app = TrustedProxies(  # type: ignore[method-assign]
            app.wsgi_app, settings.trusted_proxies, PROXIES_VARIABLE, names_site=True
        )
    elif settings.is_local:
        # Against DNS rebinding: other sites' pages would be signed in as the local rater.
        _answer_only(app, LOOPBACK)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.context_processor(lambda: {"theme": _theme(), "endpoints": app.view_functions})
    app.jinja_env.globals["many"] = many


def _answer_only(app: Flask, hosts: Sequence[str | None]) -> None:
    """Refuse requests for other host names. Flask's own TRUSTED_HOSTS does not accept IPv6 addresses."""

    @app.before_request
    def refuse_others() -> ResponseReturnValue | None:
        if urlsplit(f"//{request.host}").hostname in hosts:
            return None
        return Response("This app does not answer to that host name.\n", 400, mimetype="text/plain")


def _sign_in(app: Flask, settings: Settings) -> None:
    manager = LoginManager(app)

    @manager.user_loader  # type: ignore[untyped-decorator]
    def load(name: str) -> User | None:
        key, _, rest = name.partition(".")
        version, _, own = rest.partition(".")
        user = _find_user(int(key), name, own) if key.isdecimal() else None
        return user if user is not None and str(user.rater.link_version) == version else None

    @manager.request_loader  # type: ignore[untyped-decorator]
    def load_otherwise(_request: Any) -> User | None:
        """Sign in by the cookie of an earlier version, which is replaced, or as the local rater."""
        name = decode_cookie(request.cookies.get(_SHARED_COOKIE, ""))
        user = load(name) if name is not None else None
        if user is not None:
            # The session keeps its id, so that signing out also disables copies of the old cookie.
            login_user(user, remember=True, fresh=False)
            after_this_request(_forget_shared_cookie)
        elif settings.is_local:
            user = _find_user(None)
        return user


def _forget_shared_cookie(response: Response) -> Response:
    response.delete_cookie(_SHARED_COOKIE)
    return response


def _find_user(key: int | None, name: str = "", own: str = "") -> User | None:
    with services().database.read_autocommit() as session:
        found = raters.find_visitor(session, key, (request.view_args or {}).get("slug"), name)
    if found is None:
        return None
    return User(found.rater, found.collection, own, found.study, found.participation)


def _session() -> ResponseReturnValue:
    """The rater and a fresh CSRF token, for pages that have been open for a long time."""
    return jsonify(rater=current_rater().code, csrf=generate_csrf())


def _health() -> ResponseReturnValue:
    """Answer ok if the database does, for health checks."""
    with services().database.read() as session:
        session.execute(text("SELECT 1"))
    return jsonify(status="ok")


def _theme() -> str:
    """The colour theme of the cookie; "auto" follows the system."""
    chosen = request.cookies.get("theme", "auto")
    return chosen if chosen in ("light", "dark") else "auto"


def _harden(response: Response) -> Response:
    response.headers.update(_HEADERS)
    if response.mimetype in ("text/html", "application/json"):
        response.headers["Cache-Control"] = "no-store"
    return response
