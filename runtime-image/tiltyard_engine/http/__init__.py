"""HTTP/1.1 in, HTTP/1.1 out; knows nothing of models.

    socket -> connection -> head (httptools, judged once) -> body -> handler
                  ^                                                     |
                  +------------------- answer <------------- reply -----+

Our own server rather than a framework's, because the limits that api.md promises need every byte
counted before a parser sees it, and because the transport is the dearest part of a small request.
"""
