"""The worker of a project that people run: it embeds, trains, predicts and asks in a process of its own."""

from asktell.engine.worker import Worker

__all__ = ["Worker"]
