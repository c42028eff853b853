"""What schemathesis does not know by itself: how bodies look that are neither JSON nor text."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson", "application/wasm", "application/octet-stream")
def as_it_is(_context, value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()
