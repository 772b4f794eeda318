import os

from flask import Flask

app = Flask(__name__)


@app.get("/")
def greet() -> dict[str, str | int]:
    return {"greeting": os.environ["GREETING"], "pid": os.getpid()}
