"""The code of MLflow models: each holds a copy of this file, and medgan does the work."""

from mlflow.models import set_model

from medgan.inference.serving import ServedTranslator

set_model(ServedTranslator())
