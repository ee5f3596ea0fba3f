"""Where what needs processors is done: in this process, or on a Ray cluster.

What belongs here: sharing rows and pictures out to whoever computes, how much is on its way at one time, what becomes of work whose worker,
node or driver is gone. What does not: what is computed (`batches`, `catalog`, `embedding`), and keeping it: results come back to the run
that asked, which writes the same files and the same store wherever they were made.
"""
