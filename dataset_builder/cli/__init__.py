"""The command ``mis-ground``. The only room that knows of ``lm_eval_tasks``.

May import every other room.
"""
