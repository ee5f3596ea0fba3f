"""Schedules of steps and faults, drawn from a seed and replayed on an installation of their own: what must hold then.

What belongs here: drawing a schedule, the server and the proxy that faults come by, the steps, what is looked at after each. What does
not: what the product does of it, and anything of an installation that somebody needs: all of it is made, broken and deleted here.
"""
