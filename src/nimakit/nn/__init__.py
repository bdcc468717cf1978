"""Networks in Keras, their training, and gradients. Import it inside functions: TensorFlow takes seconds."""

import os
import sys
import tempfile
import warnings

from nimakit.errors import MissingExtraError

# Before TensorFlow is first imported: its start-up notices mean nothing to users.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# TensorFlow enables oneDNN by default only on CPUs with certain instructions. On all others it cannot train
# grouped convolutions, which ConvNeXt has.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Keras's own exporter looks up an old name in NumPy, which users cannot fix.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"keras\.src\.export")

_NOTICES = (b"absl::InitializeLog()", b"oneDNN custom operations are on")


def _import_quietly() -> None:
    """Import TensorFlow without the notices that its C++ code prints despite every setting."""
    with tempfile.TemporaryFile() as captured:
        stderr = os.dup(2)
        os.dup2(captured.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(
                "Training, gradients and editing need TensorFlow. Install it: pip install 'nimakit[train]'"
            ) from error
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            captured.seek(0)
            for line in captured:
                if not any(notice in line for notice in _NOTICES):
                    os.write(2, line)


if sys.modules.get("tensorflow") is None:
    _import_quietly()
