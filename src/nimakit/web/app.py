"""The application factory of the rating app."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, after_this_request, current_app, jsonify, render_template, request
from flask.json.provider import DefaultJSONProvider
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, decode_cookie, login_user  # type: ignore[import-untyped]
from flask_wtf.csrf import CSRFError, CSRFProtect, generate_csrf  # type: ignore[import-untyped]
from sqlalchemy import text
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.routing import IntegerConverter, Map
from werkzeug.utils import cached_property

from nimakit.errors import ImageUnreadError, NimakitError, OutputError, StorageError, machine_fault
from nimakit.images.photo import DECODED_BYTES
from nimakit.io.machine import cores
from nimakit.io.sockets import LOOPBACK
from nimakit.serving.admission import Admission
from nimakit.serving.http.front import FRONT
from nimakit.serving.http.request_reader import OVERSIZED
from nimakit.serving.proxies import TrustedProxies
from nimakit.serving.quoting import QuotedRequest
from nimakit.web.access import User, current_rater, limiter
from nimakit.web.accounts import raters
from nimakit.web.accounts import routes as accounts_routes
from nimakit.web.collections import overview
from nimakit.web.collections import routes as collections_routes
from nimakit.web.collections.setup import prepare_people
from nimakit.web.dashboard import routes as dashboard_routes
from nimakit.web.dashboard.cache import StatisticsCache
from nimakit.web.db.database import Database
from nimakit.web.db.tables import LARGEST_KEY
from nimakit.web.front import Front
from nimakit.web.pictures import routes as pictures_routes
from nimakit.web.pictures.renditions import Renditions
from nimakit.web.predictions.background import Background
from nimakit.web.predictions.scores import Predictor
from nimakit.web.rating import deck, events, pages, preference
from nimakit.web.rating.ordering import Stocks
from nimakit.web.rating.reservations import Handed
from nimakit.web.rating.write_queue import Intake
from nimakit.web.review import comparisons, explanation
from nimakit.web.review import pictures as review_pictures
from nimakit.web.review.explanation_jobs import Explainer
from nimakit.web.services import EXTENSION, Services, services
from nimakit.web.settings import PROXIES_VARIABLE, Settings
from nimakit.web.similarity import routes as similarity_routes
from nimakit.web.similarity.index import Indexes
from nimakit.web.transfer import routes as transfer_routes

BLUEPRINTS = (
    accounts_routes.blueprint,
    collections_routes.blueprint,
    overview.blueprint,
    comparisons.blueprint,
    dashboard_routes.blueprint,
    deck.blueprint,
    events.blueprint,
    pictures_routes.blueprint,
    preference.blueprint,
    pages.rate,
    review_pictures.blueprint,
    pages.score,
    similarity_routes.blueprint,
    transfer_routes.blueprint,
    explanation.blueprint,
)

_LARGEST_BODY = 1 << 20
_SHARED_COOKIE = "nimakit_rate_rater"
"""The cookie that remembered raters before each app of a host had one of its own."""

_DATABASE_AWAY = (
    "The app's database does not answer, or there is no room to write. Nothing was saved; try again later."
    " The reason is in the app's log."
)
_STRAINED = (
    "The app is short of memory, of files, or of room on its disk. Nothing was saved; try again later."
    " The reason is in the app's log."
)
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
    """A request without the cookies that are not ASCII: no app sets such, and Flask-Login fails at them."""

    @cached_property
    def cookies(self) -> ImmutableMultiDict[str, str]:
        """Name -> value."""
        given = super().cookies.items(multi=True)
        return ImmutableMultiDict([(name, value) for name, value in given if value.isascii()])


class _Json(DefaultJSONProvider):
    """Requests' JSON: what is nested too deep to be read is no JSON, either."""

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Parse JSON.

        Raises:
            ValueError: It is none.
        """
        try:
            return super().loads(s, **kwargs)
        except RecursionError as error:
            raise ValueError("It is nested too deep.") from error


class _Key(IntegerConverter):
    """The number of a row in an address: one that no row can have leads nowhere."""

    regex = r"\d{1,18}"

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, max=LARGEST_KEY)


def create_app(settings: Settings, *, background: bool = True) -> Flask:
    """The rating app.

    Args:
        settings: How it runs.
        background: Whether to look for new pictures, predict scores and learn tastes beside the requests.

    Raises:
        StorageError: The database cannot be used.
        UsageError: Others can reach the app, and the admin has no password.
    """
    database = Database(settings.database)
    database.migrate()
    prepare_people(database, settings)
    app = Flask(__name__)
    app.request_class = _Request
    app.json = _Json(app)
    _configure(app, settings)
    stocks = Stocks()
    decoding = Admission(DECODED_BYTES * settings.max_pixels, at_once=max(2, cores()))
    app.extensions[EXTENSION] = Services(
        settings=settings,
        database=database,
        intake=Intake(database),
        comparing=Admission(DECODED_BYTES * settings.max_compared_pixels, at_once=1),
        renditions=Renditions(settings.data_dir / "pictures", decoding, settings.max_pixels),
        stocks=stocks,
        handed=Handed(),
        indexes=Indexes(),
        links=raters.Links(settings.secret),
        statistics=StatisticsCache(database),
        background=Background(
            database, stocks.forget, settings.users_dir, Predictor(database, decoding, settings.max_pixels)
        ),
        explainer=Explainer(settings.data_dir / "explanations"),
    )
    app.extensions[FRONT] = Front(app)
    app.before_request(_refuse_oversized)
    _sign_in(app, settings)
    CSRFProtect(app)
    app.url_map.converters["int"] = _Key
    limiter.init_app(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    app.register_error_handler(HTTPException, _show_http_error)
    app.register_error_handler(NimakitError, _show_error)
    for kind in (ImageUnreadError, OutputError, MemoryError, OSError, ImportError):
        app.register_error_handler(kind, _show_failure)
    app.after_request(_harden)
    app.add_url_rule("/session", endpoint="_session", view_func=_session)
    app.add_url_rule("/health", endpoint="_health", view_func=_health)
    if background:
        services_of(app).background.start()
    return app


def _refuse_oversized() -> None:
    """The worker has not received it."""
    if request.environ.get(OVERSIZED):
        raise RequestEntityTooLarge


def services_of(app: Flask) -> Services:
    """The parts of an app, outside a request."""
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
        WTF_CSRF_TIME_LIMIT=None,  # ratings wait for a network for as long as it takes
        RATELIMIT_HEADERS_ENABLED=False,
    )
    if settings.url is not None:
        # Whatever other hosts a request names, its links would lead there.
        _answer_only(app, [urlsplit(settings.url).hostname])
        app.wsgi_app = TrustedProxies(  # type: ignore[method-assign]
            app.wsgi_app, settings.trusted_proxies, PROXIES_VARIABLE, names_site=True
        )
    elif settings.is_local:
        # A page elsewhere whose name is made to point here would otherwise be let in as the local rater.
        _answer_only(app, LOOPBACK)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.context_processor(lambda: {"theme": _theme(), "endpoints": app.view_functions})


def _answer_only(app: Flask, hosts: Sequence[str | None]) -> None:
    """Refuse requests by other host names, first of all; Flask's own list of hosts takes no IPv6 address."""

    @app.before_request
    def refuse_others() -> ResponseReturnValue | None:
        if urlsplit(f"//{request.host}").hostname in hosts:
            return None
        return Response("This app is not reached by that host name.\n", 400, mimetype="text/plain")


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
        """Who an older version remembered, from now on by this app's cookie; else who needs no session."""
        name = decode_cookie(request.cookies.get(_SHARED_COOKIE, ""))
        user = load(name) if name is not None else None
        if user is not None:
            # Their session keeps its name: once it has ended, copies of the old cookie let nobody in.
            login_user(user, remember=True, fresh=False)
            after_this_request(_forget_shared_cookie)
        elif settings.is_local:
            user = _find_user(None)
        return user


def _forget_shared_cookie(response: Response) -> Response:
    response.delete_cookie(_SHARED_COOKIE)
    return response


def _find_user(key: int | None, name: str = "", own: str = "") -> User | None:
    with services().database.glance() as session:
        found = raters.find_visitor(session, key, (request.view_args or {}).get("slug"), name)
    return User(*found, own) if found else None


def _session() -> ResponseReturnValue:
    """Who is signed in, and a fresh CSRF token: for pages that have been open for long."""
    return jsonify(rater=current_rater().code, csrf=generate_csrf())


def _health() -> ResponseReturnValue:
    """That the app and its database answer."""
    with services().database.read() as session:
        session.execute(text("SELECT 1"))
    return jsonify(status="ok")


def _theme() -> str:
    """What the reader chose; "auto" follows their system."""
    chosen = request.cookies.get("theme", "auto")
    return chosen if chosen in ("light", "dark") else "auto"


def _harden(response: Response) -> Response:
    response.headers.update(_HEADERS)
    if response.mimetype in ("text/html", "application/json"):
        response.headers["Cache-Control"] = "no-store"
    return response


def _show_error(error: NimakitError) -> ResponseReturnValue:
    if isinstance(error, StorageError):
        # Raters, and whoever has no session, need not know where the database is.
        current_app.logger.error("%s", error)
        return _problem(error.http_status, _DATABASE_AWAY)
    return _problem(error.http_status, str(error))


def _show_failure(error: Exception) -> ResponseReturnValue:
    """This machine failed at a request: the log says how, the answer names no path."""
    if not isinstance(error, ImageUnreadError | OutputError) and not machine_fault(error):
        raise error
    current_app.logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return _problem(503, _STRAINED)


def _show_http_error(error: HTTPException) -> ResponseReturnValue:
    if error.code is None or error.code < 400:
        return error  # redirections
    return _problem(error.code, error.description or error.name, is_csrf=isinstance(error, CSRFError))


def _problem(status: int, reason: str, *, is_csrf: bool = False) -> ResponseReturnValue:
    """An error as a page, or for a page's own requests as JSON."""
    if request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json":
        return jsonify(reason=reason, csrf=is_csrf), status
    return render_template("error.html", status=status, reason=reason), status
