"""How networks are trained: a task says what is minimised, a run does it, and :mod:`vdp_distill.distill` conducts."""
