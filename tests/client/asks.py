"""What any client is asked of the tiny model, whichever way it goes."""

import numpy as np
import pandas as pd
from client.both_clients import Ask
from server.bundles.tiny import FEATURES, draw_rows

FRAME = pd.DataFrame(draw_rows(250), columns=list(FEATURES))
ASKS: dict[str, Ask] = {
    "frame in another order": lambda c: c.predict(FRAME.iloc[:, ::-1]),
    "dicts": lambda c: c.predict([dict.fromkeys(FEATURES, 0.5)]),
    "stream": lambda c: c.predict_stream(np.array_split(draw_rows(300), 29), base=True),
    "stream with errors": lambda c: c.predict_stream(
        [draw_rows(2), [["x"] * 4], draw_rows(2)[:, 1:], draw_rows(2)], on_error="return"
    ),
    "stream that raises": lambda c: c.predict_stream([draw_rows(2), draw_rows(2)[:, 1:]]),
    "models": lambda c: c.models(),
    "model": lambda c: c.model("tiny"),
    "ready": lambda c: c.wait_until_ready(10, model="tiny"),
    "no such model": lambda c: c.predict(draw_rows(1), model="gone"),
    "no such version": lambda c: c.model("tiny", 9),
    "wrong width": lambda c: c.predict(draw_rows(3)[:, 1:]),
    "wrong name": lambda c: c.predict(FRAME.rename(columns={"rms": "loud"})),
    "NaN": lambda c: c.predict([[1, 2, float("nan"), 4]]),
    "version 0": lambda c: c.predict(draw_rows(1), version=0),
    "timeout 0": lambda c: c.models(timeout=0),
}
