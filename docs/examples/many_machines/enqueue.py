"""Puts a campaign into the queue, in batches: ``python enqueue.py recipients.csv``."""

import csv
import sys

from tasks import send

BATCH = 50


def messages(path):
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield {
                # The same for each attempt, and another one for each other message.
                "name": f"newsletter 7: {row['email']}",
                "envelope": {"from": "news@example.com", "to": [row["email"]]},
                "message": {
                    "from": "News <news@example.com>",
                    "to": row["email"],
                    "subject": "Our news",
                    "text": f"Dear {row['name']},\n\nthis is what is new.\n",
                },
            }


def enqueue(path):
    batch = []
    for message in messages(path):
        batch.append(message)
        if len(batch) == BATCH:
            send.delay(batch)
            batch = []
    if batch:
        send.delay(batch)


if __name__ == "__main__":
    enqueue(sys.argv[1])
