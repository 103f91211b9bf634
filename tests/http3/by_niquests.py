"""niquests over HTTP/3 alone, which is qh3: by_niquests.py URL CA_FILE."""

import sys
from urllib.parse import urlsplit

import niquests

url, ca_file = sys.argv[1:]
with niquests.Session(disable_http1=True, disable_http2=True) as session:
    # As if it had been told so by Alt-Svc.
    session.quic_cache_layer.add_domain("localhost", urlsplit(url).port)
    answer = session.get(url, verify=ca_file)
    print("HTTP/3" if answer.http_version == 30 else answer.http_version, answer.status_code, answer.text)
    answer = session.post(url, data=b"z" * 1_000_000, verify=ca_file)
    print("HTTP/3", answer.status_code, len(answer.content))
