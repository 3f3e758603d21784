"""Runs `provided.*` Lambda functions of LocalStack as local processes.

Faithful: the init phase and its errors, one invocation at a time, warm reuse, the function's timeout, crashes, log
lines (START, END, REPORT) and the environment with the role's credentials.
Not there: a memory limit, isolation from the host, layers, extensions, other processors, response streaming.
"""
