"""RabbitMQ, asked by pika and over HTTP."""

from __future__ import annotations

import base64
import json
import urllib.request

import pika
import pika.exceptions
import pytest

import oslet
from oslet import Secret
from oslet.catalog import RabbitMQ

from .conftest import Port, Serve

pytestmark = [pytest.mark.slow, pytest.mark.network]

LASTING = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)


def test_queues_are_kept_for_who_knows_the_password(serve: Serve, free_port: Port) -> None:
    port, web = free_port(), free_port()
    first = serve(RabbitMQ(port=port, username="jo", password=Secret("a/good#one")), "kept")
    with pika.BlockingConnection(pika.URLParameters(first.url)) as connection:
        channel = connection.channel()
        channel.queue_declare("work", durable=True)
        channel.confirm_delivery()
        channel.basic_publish("", "work", b"to do", LASTING)
    for url in (first.url.replace("good", "bad"), f"amqp://guest:guest@127.0.0.1:{port}/"):
        with pytest.raises(pika.exceptions.ProbableAuthenticationError):
            pika.BlockingConnection(pika.URLParameters(url))
    assert "good#one" not in first.running.logs()
    assert first.end() == 0
    plugins, settings = ["rabbitmq_management"], [f"management.tcp.port = {web}"]
    newer = Secret("newer#one")
    bound = RabbitMQ(port=port, username="jo", password=newer, plugins=plugins, settings=settings)
    second = serve(bound, "kept")
    with pika.BlockingConnection(pika.URLParameters(second.url)) as connection:
        frame, _, body = connection.channel().basic_get("work", auto_ack=True)
        assert frame and body == b"to do"
    who = base64.b64encode(b"jo:newer#one").decode()
    request = urllib.request.Request(f"http://127.0.0.1:{web}/api/overview", headers={"Authorization": f"Basic {who}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert json.load(answer)["product_name"] == "RabbitMQ"


def test_a_password_is_needed() -> None:
    with pytest.raises(oslet.DeclarationError, match="needs a value"):
        RabbitMQ()
