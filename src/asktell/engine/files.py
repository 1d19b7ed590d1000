"""What lies beside project.db. All of it can be rebuilt from the database and the data."""

from typing import Final

STATE: Final = "worker.json"
LOCK: Final = "worker.lock"
MODELS: Final = "models"
EMBEDDINGS: Final = "embeddings"
PREDICTIONS: Final = "predictions.parquet"
PREDICTED: Final = "predictions.json"
SUMMARY: Final = "predictions-summary.json"
STOP_SET: Final = "stop-set.json"
