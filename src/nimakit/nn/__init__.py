"""The only code that needs TensorFlow and Keras. Import its modules inside functions: they take seconds."""

import os
import warnings

# Before TensorFlow is first imported: its start-up notices are no news to the people who score photographs.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# Keras's own exporter looks for an old name in NumPy; nothing its users could mend.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"keras\.src\.export")
