"""Every limit of the web page, in one place."""

from __future__ import annotations

from dataclasses import dataclass

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Bounds on what visitors may send, and on what the server keeps for them.

    Attributes:
        upload_bytes: size of one image file.
        pixels: width × height of one image, read from its header before anything is decoded.
        prompts: number of prompts in one request.
        opponents: number of prompts that these are set against.
        characters: length of one prompt.
        methods: methods side by side in one request.
        request_bytes: size of any request that is not an image.
        upload_seconds: time until a request's body must have arrived.
        uploads: image files that are received at the same time.
        waiting: requests in the queue; more are turned away.
        kept_images: bytes of image files that are kept, least recently used ones dropped first.
        kept_passes: bytes of forward passes that are kept, in the same way.
        connections: open connections.
    """

    upload_bytes: int = 20 * MEGABYTE
    pixels: int = 40_000_000
    prompts: int = 16
    opponents: int = 8
    characters: int = 300
    methods: int = 2
    request_bytes: int = 64_000
    upload_seconds: float = 30.0
    uploads: int = 4
    waiting: int = 64
    kept_images: int = 200 * MEGABYTE
    kept_passes: int = 400 * MEGABYTE
    connections: int = 256
