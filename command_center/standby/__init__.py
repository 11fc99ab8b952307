"""A second machine that has all that the center has, and takes its place when it is told to.

``leader`` sends each commit's pages and each record of the intake log before anybody is told that they are durable; ``follower`` keeps
them (``page_file``); ``promoting`` makes a center of them. Both ends hold the same center's keys, and prove it to each other (``line``).
"""
