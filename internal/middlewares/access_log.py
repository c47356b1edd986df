import time
from json.encoder import encode_basestring_ascii as quote

from starlette.types import Scope

from internal.infra.log_format import timestamp


def access_line(scope: Scope, trace_id: str, status: int, size: int, seconds: float) -> bytes:
    """One request as a line of JSON, put together by hand: a third of what `json.dumps` takes.

    It holds the route's template and never the path or the query, which may hold anything.

    Args:
        size: bytes of the reply's body.
    """
    route = scope.get("route")
    template = route.path_format if route else ""
    client = scope.get("client")
    return (
        f'{{"time":"{timestamp(time.time())}","level":"INFO","message":"request",'
        f'"logger":"access","trace_id":"{trace_id}","method":{quote(scope["method"])},'
        f'"route":{quote(template)},"status":{status},"ms":{seconds * 1000:.3f},"bytes":{size},'
        f'"client":{quote(client[0] if client else "")}}}\n'
    ).encode("ascii")
