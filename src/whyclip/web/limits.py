"""All limits of the web page."""

from __future__ import annotations

from dataclasses import dataclass

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Limits on requests, and on the server's cache.

    Attributes:
        upload_bytes: size of one image file.
        pixels: width × height of one image, read from its header before decoding.
        prompts: number of prompts in one request.
        opponents: number of contrast prompts.
        characters: length of one prompt, in characters.
        methods: number of methods in one request.
        request_bytes: size of any request that is not an image.
        upload_seconds: maximum time for receiving a request's body.
        uploads: number of image files received at the same time.
        waiting: number of requests in the queue; more are rejected.
        kept_images: maximum size of the image cache in bytes; the least recently used are dropped.
        kept_passes: maximum size of the cache of forward passes in bytes; the least recently used
            are dropped.
        connections: number of open connections.
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
