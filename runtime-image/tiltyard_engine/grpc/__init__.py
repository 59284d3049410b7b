"""The data plane over gRPC: the Open Inference Protocol, health and reflection.

The only package that knows grpcio and protobuf; imported by workers, after the fork, where a port
for it was asked for. Messages are made from `protos/` by way of `descriptors/`, in a pool of their
own: nothing of ours can clash with the stubs that clients in the same process have loaded.
"""
