"""GET /metrics in Prometheus's text form: for staff, and for the addresses in [server] metrics_from that ask without a proxy."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest

from feedback.errors import Unauthorised
from feedback.identity import visitor_of
from feedback.peers import Peers


def router(registry: CollectorRegistry, allowed: Sequence[str]) -> APIRouter:
    """Return the route; `allowed` are the peers that may read without a token."""
    api, peers = APIRouter(tags=["health"]), Peers(allowed)

    @api.get("/metrics", summary="Counters and gauges for Prometheus", response_class=Response)
    def metrics(request: Request) -> Response:
        if visitor_of(request).staff is None and not _asks_itself(request, peers):
            raise Unauthorised(
                "metrics are for staff ('Authorization: Bearer TOKEN') and for the addresses in [server] metrics_from, without a proxy"
            )
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return api


def _asks_itself(request: Request, peers: Peers) -> bool:
    """Return whether the peer is allowed and speaks for itself: a proxy on this machine is a peer on this machine, too."""
    return getattr(request.state, "peer", "") in peers and not request.state.relayed
