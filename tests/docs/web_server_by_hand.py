"""The web server of the manual without ``start()`` and ``future()``: what a program then has to do
itself stands between the marks.

``python web_server_by_hand.py``, with the mail server at port 2525 and itself at 8080, as there.
"""

import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from smtp_connection import SMTPConnection, SMTPError, get_reactor

# glue begins
reactor = get_reactor()


def stay_awake():
    reactor.call_later(3600, stay_awake)


def run():
    while True:
        try:
            reactor.run()
            return
        except Exception:
            traceback.print_exc()


class Outcome:
    def __init__(self):
        self.known = threading.Event()

    def __call__(self, err, info=None):
        self.err, self.info = err, info
        self.known.set()

    def result(self, timeout):
        if not self.known.wait(timeout):
            raise TimeoutError
        if self.err:
            raise self.err
        return self.info


# glue ends


def mail(text):
    """Send ``text`` over a session of its own, and return what can be waited for."""
    connection = SMTPConnection({"host": "localhost", "port": 2525})
    connection.connect()
    envelope = {"from": "web@x.org", "to": "b@x.org"}
    # glue begins
    sent = Outcome()
    # glue ends
    connection.send(envelope, f"Subject: feedback\n\n{text}", sent)
    connection.quit()
    return sent


class Feedback(BaseHTTPRequestHandler):
    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        try:
            answer = mail(text).result(timeout=60).response
            self.send_response(200)
        except SMTPError as err:
            answer = str(err)
            self.send_response(502)
        self.end_headers()
        self.wfile.write(answer.encode())


# glue begins
stay_awake()
thread = threading.Thread(target=run, daemon=True)
thread.start()
# glue ends
server = ThreadingHTTPServer(("127.0.0.1", 8080), Feedback)
try:
    server.serve_forever()
except KeyboardInterrupt:
    server.server_close()
    # glue begins
    reactor.stop()
    thread.join()
    # glue ends
