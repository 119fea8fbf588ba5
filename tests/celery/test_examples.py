"""The directory of examples, with the broker in memory."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.manual import ROOT

EXAMPLES = ROOT / "docs" / "examples" / "many_machines"


def test_a_campaign_in_one_process(tmp_path, smtp_server):
    smtp_server.reject("c9@x.org", "550 5.1.1 no such user")
    rows = "".join(f"c{number}@x.org,Customer {number}\n" for number in range(120))
    (tmp_path / "recipients.csv").write_text(f"email,name\n{rows}", encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(EXAMPLES), str(ROOT)]),
        "SMTP_URL": f"smtp://{smtp_server.host}:{smtp_server.port}",
        "SMTP_TLS": "no",
        "LEDGER": str(tmp_path / "sent.db"),
    }
    command = [sys.executable, str(EXAMPLES / "in_one_process.py"), "recipients.csv"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    refusal = "c9@x.org was refused for good: Recipient refused: 550 5.1.1 no such user"
    assert done.stdout.splitlines() == [
        f"newsletter 7: c9@x.org: {refusal}",
        "{'sending': 0, 'in doubt': 0, 'sent': 119, 'refused': 1}",
    ]
    assert len(smtp_server.messages) == 119
    first = smtp_server.messages[0].message
    assert first["Subject"] == "Our news"
