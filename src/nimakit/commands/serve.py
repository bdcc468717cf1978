"""`nimakit serve`: the scoring server."""

import json
import os
from pathlib import Path

import click

_FILE = click.Path(path_type=Path)


@click.command()
@click.option(
    "--config-file",
    type=_FILE,
    help="A serving config: JSON with settings from docs/serving.md. Variables NIMAKIT_SERVE_<KEY> override"
    " it; options override both.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="[NAME=]MODEL",
    help="A public model (aesthetic), an .onnx file, or an ensemble .json, and optionally the name to serve"
    " it under. Repeat for several models; the first is the default.  [default: aesthetic]",
)
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 for any free port.  [default: 8080]")
@click.option(
    "--users-dir",
    type=click.Path(),
    help="Folder of users' files (USER.taste, from nimakit personalise): /predict?user=USER gives that user's"
    " scores.",
)
@click.option(
    "--new-key",
    metavar="NAME",
    help="Create an API key for NAME, print it and its entry for a config or key file, and exit.",
)
def serve(
    *,
    config_file: Path | None,
    models: tuple[str, ...],
    host: str | None,
    port: int | None,
    users_dir: str | None,
    new_key: str | None,
) -> int:
    """Serve scores over HTTP; each request is logged as a line of JSON on stdout.

    \b
    Example:
      nimakit serve --port 8080
      curl -F image=@data/samples/portrait.jpg http://127.0.0.1:8080/predict
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.serving import require

    if new_key is not None:
        from nimakit.serving.keys import make_key

        key, entry = make_key(new_key)
        click.echo(json.dumps({"key": key, "entry": str(entry)}))
        return 0
    require()
    from nimakit.serving.server import serve as serve_models
    from nimakit.serving.settings import read_settings

    options = {"models": list(models) or None, "host": host, "port": port, "users_dir": users_dir}
    serve_models(read_settings(config_file, environment=os.environ, options=options))
    return 0
