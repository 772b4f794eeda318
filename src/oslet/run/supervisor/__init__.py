"""The supervisor: the one process of a user that makes, watches and ends instances. Clients import none of it.

It runs in the keeper's namespaces (``native/keeper.c``), in the machine's network; for an ordinary user it is root
there, with the user's subordinate ids. All that must outlive it is a file in the state folder or a descriptor that the
keeper has, so that it may be killed at any instruction: the next one goes on.
"""
