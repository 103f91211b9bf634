"""curl over HTTP/3 alone, by curl_cffi: by_curl.py URL CA_FILE."""

import sys

from curl_cffi import requests

url, ca_file = sys.argv[1:]
named = {"http_version": "v3only", "verify": ca_file}
answer = requests.get(url, **named)
print("HTTP/3" if answer.http_version >= 30 else answer.http_version, answer.status_code, answer.text)
answer = requests.post(url, data=b"z" * 1_000_000, headers={"transfer-encoding": ""}, **named)
print("HTTP/3", answer.status_code, len(answer.content))
