"""A Celery task that sends mail, and no message twice (extra ``celery``)."""

from .task import make_send_task

__all__ = ["make_send_task"]
