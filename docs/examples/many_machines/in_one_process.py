"""All of it in one process, with the broker in memory: to see that it works, and for tests alone.

``python in_one_process.py recipients.csv``, with ``SMTP_URL`` and ``LEDGER`` set.
"""

import os
import sys
import time

os.environ["BROKER_URL"] = "memory://"

from celery.contrib.testing.worker import start_worker
from enqueue import enqueue
from tasks import app

from smtp_connection.ledger import Ledger


def main(path):
    with open(path, encoding="utf-8") as file:
        expected = sum(1 for _ in file) - 1
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=60):
        enqueue(path)
        with Ledger(os.environ["LEDGER"]) as ledger:
            counts = ledger.counts()
            while counts["sent"] + counts["refused"] < expected:
                time.sleep(0.1)
                counts = ledger.counts()
            print(counts)


if __name__ == "__main__":
    main(sys.argv[1])
