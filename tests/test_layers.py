"""Imports point one way: a module imports only modules of a lower layer."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "nimakit"

LAYERS = (
    {"errors", "delimited"},
    {
        "schema",
        "histogram",
        "components",
        "machine",
        "output",
        "rating_text",
        "public_http",
        "external_data",
        "zip_files",
        "mirrors",
        "addresses",
    }
    | {"rgb", "scans"},
    {"archive", "score", "images", "adjustments", "files", "parallel", "balancing", "splitting"} | {"rows"},
    {"image_names"},
    {
        "metadata",
        "labels",
        "ratings",
        "config",
        "progress",
        "drawing",
        "picture_store",
        "taste",
        "newton",
    },
    {"network", "metrics", "pretrained", "jobs", "charts", "heatmap", "rating_charts", "upload", "downloads"}
    | {"label_sets", "link_tree", "image_index", "population", "framing", "photo_file", "records"},
    {"personal"},
    {"engine", "nn", "agreement", "datasets", "image_tables", "filtering", "label_check", "fingerprints"},
    {"conversion", "page", "scoring", "model_card", "needs", "raters", "duplicates"},
    {"zoo", "contact_sheet", "evaluation", "catalogue", "data_summary", "checking"},
    {"run", "training_report", "findings", "preparation", "serving", "personalise", "enhancement"},
    {"training", "data_report", "web"},
    {"commands"},
    {"cli"},
    {"__init__", "__main__"},
)
"""Lowest first; modules of one layer never import each other. `import nimakit` itself has no layer."""

NN_LAYERS = (
    {"__init__"},
    {"torch_files", "weight_files"},
    {"efficientnet_lite", "resnet", "torch_weights", "scratch"},
    {"backbones", "weights", "pixels", "devices", "folding", "losses", "state", "edits", "views"},
    {"heads", "batches"},
    {"features", "epochs", "export", "loading", "adapters"},
    {"material", "saliency", "ascent", "pupil", "personal"},
    {"train", "enhance", "personalise"},
)
"""The order inside nimakit.nn, where TensorFlow lives."""

SERVING_LAYERS = (
    {"__init__"},
    {"incoming", "keys", "metrics", "requestlog", "problems", "tensor_data", "admission"}
    | {"front", "memory", "proxies", "quoting"},
    {"tensors", "connection", "settings", "batcher", "descriptors", "uploads", "users"},
    {"models"},
    {"service"},
    {"access", "api", "inference", "pages", "worker"},
    {"app"},
    {"server"},
)
"""The order inside nimakit.serving."""

WEB_LAYERS = (
    {"__init__"},
    {"scale", "browser", "limits", "explanations", "timeline", "handed", "front"},
    {"models"},
    {"database", "people", "migrations", "acts", "features", "sight", "choices"},
    {"settings", "inventory", "recording", "selection", "access", "crowd", "headway"} | {"similar"},
    {"tastes", "intake", "exports"},
    {"renditions", "predictions", "studies", "matching", "browsing", "imports", "picture_list"}
    | {"neighbours"},
    {"background", "forms", "figures", "bars"},
    {"analyses"},
    {"services"},
    {"deck", "links"},
    {"accounts", "admin", "collections", "events", "pictures", "preference", "rate", "ratings", "score"}
    | {"comparisons", "dashboard", "similarity", "transfer", "why"},
    {"app"},
    {"server"},
)
"""The order inside nimakit.web."""

INNER_LAYERS = {"nn": NN_LAYERS, "serving": SERVING_LAYERS, "web": WEB_LAYERS}

TRAINING_ONLY = {"tensorflow", "keras", "tf2onnx", "onnx", "h5py"}

MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts): path for path in sorted(SOURCE.rglob("*.py"))
}


def _imports(path: Path) -> Iterator[str]:
    """Every imported name, wherever in the file the import stands: `from a import b` gives a and a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative imports hide their layer"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _own_imports(module: str) -> set[str]:
    """Modules of nimakit that a module imports, without the leading name."""
    names = {name.removeprefix("nimakit.") for name in _imports(MODULES[module])}
    return {name for name in names if name in MODULES or f"{name}.__init__" in MODULES}


def _layer_of(name: str, layers: tuple[set[str], ...]) -> int:
    [layer] = [i for i, members in enumerate(layers) if name in members]
    return layer


def test_every_module_has_its_layer() -> None:
    """A new module is given a layer when it is written, and a deleted one loses it."""
    assert {name.split(".")[0] for name in MODULES} == set().union(*LAYERS)
    for folder, layers in INNER_LAYERS.items():
        found = {name.split(".")[1] for name in MODULES if name.startswith(f"{folder}.")}
        assert found == set().union(*layers)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    """A module imports only modules of a lower layer, inside functions too."""
    own = module.split(".", maxsplit=1)[0]
    for imported in _own_imports(module):
        other = imported.split(".")[0]
        if own == other and own in INNER_LAYERS:
            if imported != own:
                layers = INNER_LAYERS[own]
                parts = (module.split(".")[1], imported.split(".")[1])
                assert _layer_of(parts[1], layers) < _layer_of(parts[0], layers), imported
        elif own == other == "commands":  # a group registers its commands, which share options alone
            assert module.endswith(".__init__") or imported.endswith(".options"), imported
        else:
            assert _layer_of(other, LAYERS) < _layer_of(own, LAYERS), imported


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("nn.")])
def test_only_nn_knows_the_training_libraries(module: str) -> None:
    """Outside nimakit.nn nothing imports TensorFlow, Keras, tf2onnx, onnx or h5py, anywhere."""
    assert {name.split(".")[0] for name in _imports(MODULES[module])} & TRAINING_ONLY == set()


@pytest.mark.parametrize("module", ["nn.torch_files", "nn.weight_files"])
def test_readers_of_weight_files_know_no_network(module: str) -> None:
    """What may be in a file of others is checked without Keras and TensorFlow."""
    assert {name.split(".")[0] for name in _imports(MODULES[module])} & {"tensorflow", "keras"} == set()


def test_the_layers_are_read_from_real_imports() -> None:
    """The check sees imports at the top of a file, in functions and for types alone."""
    assert "engine" in _own_imports("zoo")
    assert {"zoo", "engine", "images"} <= _own_imports("__init__")
    assert "keras" in set(_imports(MODULES["nn.heads"]))
