"""The only code that needs TensorFlow and Keras. Import its modules inside functions: they take seconds."""

import os
import sys
import tempfile
import warnings

from nimakit.errors import MissingExtraError

# Before TensorFlow is first imported: its start-up notices are no news to the people who score photographs.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# TensorFlow turns oneDNN on by itself only for CPUs with certain instructions. On all others it cannot train
# grouped convolutions, which ConvNeXt has.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Keras's own exporter looks for an old name in NumPy; nothing its users could mend.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"keras\.src\.export")

_NO_NEWS = (b"absl::InitializeLog()", b"oneDNN custom operations are on")


def _import_quietly() -> None:
    """Import TensorFlow without the notices that it writes past every setting, from C++ to the terminal."""
    with tempfile.TemporaryFile() as said:
        stderr = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(
                "Keras and TensorFlow are needed for whatever learns from photographs or looks into a model."
                " Install them: pip install 'nimakit[train]'"
            ) from error
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            said.seek(0)
            for line in said:
                if not any(notice in line for notice in _NO_NEWS):
                    os.write(2, line)


if sys.modules.get("tensorflow") is None:
    _import_quietly()
