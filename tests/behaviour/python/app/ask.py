"""``python3 ask.py [PROBE…]``: ask this system one thing after another; a JSON line {name, answer} for each.

A probe is a public function of a ``probe_*`` module beside this file. Each runs in a process of its own, so that none
disturbs another, and answers with what JSON can hold. An answer never depends on when, how often or as which process
it is asked.
"""

import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path

PATIENCE = 30


def probes():
    found = {}
    for file in sorted(Path(__file__).parent.glob("probe_*.py")):
        module = importlib.import_module(file.stem)
        for name, function in vars(module).items():
            if callable(function) and not name.startswith("_") and function.__module__ == file.stem:
                found[f"{file.stem[6:]}.{name}"] = function
    return found


def answer(probe):
    """What a probe says, or the name of what it raised, from a process of its own."""
    read, write = os.pipe()
    sys.stdout.flush()
    if not (child := os.fork()):
        os.close(read)
        signal.alarm(PATIENCE)
        try:
            said = probe()
        except BaseException as error:
            said = {"raised": type(error).__name__, "said": str(error), "at": traceback.format_exc().splitlines()[-4:]}
        with os.fdopen(write, "w") as stream:
            json.dump(said, stream, default=repr)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        text = stream.read()
    status = os.waitpid(child, 0)[1]
    return json.loads(text) if text else {"ended": status}


if __name__ == "__main__":
    for name, probe in probes().items():
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            print(json.dumps({"name": name, "answer": answer(probe)}), flush=True)
