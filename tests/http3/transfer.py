"""Carries a file by curl over HTTP/3 alone, by curl_cffi: transfer.py get|put URL CA_FILE FILE."""

import sys

from curl_cffi import requests

how, url, ca_file, file = sys.argv[1:]
named = {"http_version": "v3only", "verify": ca_file, "timeout": 1800}
if how == "get":
    with requests.Session() as session, open(file, "wb") as out:
        answer = session.get(url, stream=True, **named)
        for piece in answer.iter_content():
            out.write(piece)
else:
    with open(file, "rb") as source:
        answer = requests.put(url, data=source.read(), headers={"expect": ""}, **named)
print(answer.http_version, answer.status_code)
