"""`nimakit serve`: score photographs over HTTP."""

import json
import os
from pathlib import Path

import click

from nimakit.commands.parameters import FILE


@click.command()
@click.option(
    "--config-file",
    type=FILE,
    help="A serving config: JSON with any of the settings in docs/serving.md. Environment variables"
    " NIMAKIT_SERVE_<KEY> override it, options override both.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="[NAME=]MODEL",
    help="A public model (aesthetic, technical), an .onnx file, or an ensemble .json, served under its own"
    " name or as NAME. If given several times, all are served, the first by default.  [default: aesthetic]",
)
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 for any free port.  [default: 8080]")
@click.option(
    "--users-dir",
    type=click.Path(),
    help="Folder of taste files, USER.taste, from nimakit personalise: /predict?user=USER returns the scores"
    " that this person would give.",
)
@click.option(
    "--new-key",
    metavar="NAME",
    help="Create an API key for NAME, print it with its entry for a config or key file, and exit.",
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
    """Serve scores over HTTP until stopped, and print a line of JSON for each request.

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
