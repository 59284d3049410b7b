"""Ask the Pipeline of `helm test` until it answers, and insist on the right answer."""

import json
import sys
import time
import urllib.request

url, seconds = sys.argv[1], float(sys.argv[2])
end = time.monotonic() + seconds
while True:
    body = json.dumps([{"x": 21}]).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            out = json.load(answer)[0]["out"]
        break
    except OSError as error:
        if time.monotonic() > end:
            sys.exit(f"{url} does not answer: {error}; see kubectl describe typ tiltyard-test")
        time.sleep(1)
if out["y"] != [42]:
    sys.exit(f"twice 21 is 42, not {out['y']}")
print(f"{url} answers: twice 21 is {out['y'][0]:g}")
