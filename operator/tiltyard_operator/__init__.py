"""The operator: makes a cluster be what Pipelines and Models say, and tells how far it is.

kopf watches and nothing else. Events become keys in a queue; a pool of threads takes one key after
the other, reads the object anew, and makes what it owns be what it says.
"""
