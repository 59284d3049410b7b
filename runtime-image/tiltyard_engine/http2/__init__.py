"""HTTP/2 over cleartext, as clients of gRPC speak it: frames, header compression, flow control.

Knows neither gRPC nor models. Where a rule has a number, it is a section of RFC 9113 (HTTP/2) or of
RFC 7541 (header compression).
"""
