"""The task that the workers run: ``celery -A tasks worker --concurrency 2``.

The environment says where things are:

- ``BROKER_URL``: the queue, ``redis://localhost:6379/0`` say
- ``LEDGER``: one that all workers share: ``postgresql://...``, ``redis://...``, or the path of a
  file if they run on one machine
- ``SMTP_URL``: the server and the login, ``smtps://user:password@smtp.example.com``
"""

import os

from celery import Celery

from smtp_connection.celery import make_send_task

app = Celery("many_machines", broker=os.environ["BROKER_URL"])
app.conf.worker_prefetch_multiplier = 1


def rejected(name, recipients):
    for recipient, reason in recipients.items():
        print(f"{name}: {recipient} was refused for good: {reason}")


def in_doubt(name, recipients):
    print(f"{name}: nobody knows whether {', '.join(recipients)} got it")


def login_refused(error):
    print(f"ALARM: the password does not work: {error}")


send = make_send_task(
    app,
    os.environ["SMTP_URL"],
    ledger=os.environ["LEDGER"],
    options={"requireTLS": os.environ.get("SMTP_TLS", "yes") == "yes"},
    on_rejected=rejected,
    on_in_doubt=in_doubt,
    on_login_refused=login_refused,
)
