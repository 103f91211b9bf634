"""The directory of an ACME authority which also says when to renew (ARI, RFC 9773): the first certificate that it is asked about at
once, others not for hours. Everything else is the authority's own. Prints its port.

`renewal_info.py CERTIFICATE KEY DIRECTORY`"""

import datetime
import http.server
import json
import ssl
import sys
import urllib.request

certificate, key, directory = sys.argv[1:]
first = None


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global first
        more = {}
        if self.path == "/dir":
            context = ssl._create_unverified_context()
            answer = json.load(urllib.request.urlopen(directory, context=context))
            answer["renewalInfo"] = f"https://127.0.0.1:{server.server_port}/renewal-info"
        else:
            identifier = self.path.rsplit("/", 1)[1]
            first = first or identifier
            begins = -2 if identifier == first else 2
            now = datetime.datetime.now(datetime.timezone.utc)
            hours = lambda number: (now + datetime.timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
            answer = {"suggestedWindow": {"start": hours(begins), "end": hours(begins + 1)}}
            more = {"Retry-After": "21600"}
        body = json.dumps(answer).encode()
        self.send_response(200)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(body), **more}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
