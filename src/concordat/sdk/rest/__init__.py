"""The one door for HTTP: every vendor call passes `Http.send`, every failure leaves as a VendorError.

What the door does, so that a connector need not: one origin only, no redirects, no proxy from the
environment, a keep-alive pool, trace and correlation headers, a deadline, one repeat after a refreshed
credential (401 means that nothing was done), exact numbers (JSON numbers become `Decimal`, floats are
refused), and the question that matters most: *may the vendor have written?* A call that was never sent is
`Unavailable`; a write that was sent and got no readable answer is `UnknownOutcome`.

    http = Http("https://api.vendor.com", auth, connection="psa", errors=ERRORS)
    answer = http.send(ctx, "POST", "/v1/projects", json={"title": "…"}, write=True)
    answer.json["id"]
"""

from __future__ import annotations

from concordat.sdk.rest.answer import STATUS, TRANSPORT, Answer, Translate, status_error, transport_error
from concordat.sdk.rest.codec import decode_json, encode_json
from concordat.sdk.rest.door import Auth, Http, WireCall, observe
from concordat.sdk.rest.meter import Meter, install

__all__ = [
    "STATUS",
    "TRANSPORT",
    "Answer",
    "Auth",
    "Http",
    "Meter",
    "Translate",
    "WireCall",
    "decode_json",
    "encode_json",
    "install",
    "observe",
    "status_error",
    "transport_error",
]
