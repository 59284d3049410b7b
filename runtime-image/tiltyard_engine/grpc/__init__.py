"""The data plane over gRPC: the Open Inference Protocol, health and reflection.

The only package that knows protobuf; it is loaded where gRPC is served. What travels beneath is
`tiltyard_engine.http2`. Messages are made from `protos/` by way of `descriptors/`, in a pool of
their own: nothing of ours can clash with the stubs that clients in the same process have loaded.
"""
