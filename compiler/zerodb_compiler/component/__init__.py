"""A query as a component: code that turns fed batches into what the query reads, runs it and hands its rows out.

Problem: a program (codegen/program.py) expects a host that lays tables out, calls its pipelines in order and copies its
output. Another component host knows none of this; it speaks the canonical ABI of zerosys:db/compiled-query (wit/).

Idea: three core modules that share one memory of the component's own, which is not shared between threads:

    heap     the memory, its allocator, `allocate` (codegen/abi.py), the ABI's realloc, the destructor of a run
    query    the program, generated anew for tables of the forms that come in through WIT (portable.py)
    driver   the functions of the interface: constants that describe the program, and kernels that interpret them

    feed ──> columns in the layout of portable.py ──> pipelines, morsel by morsel ──> output blocks ──> next-batch

Why the program is generated anew: that of our own host is specialised to the value ranges and dictionaries of the
tables as they are, which data from elsewhere need not fit, and runs over a shared memory, which many hosts refuse to a
component (wasmtime's default among them).

    layout       where things lie in the memory             static     constant data of the driver
    forms        SQL types and their forms in WIT           portable   plan -> program over those forms
    heap         feeding    running    delivering    parameter_values    failures: kernels
    driver       the modules

Limits: one worker; inputs and intermediate results lie in the memory (4 GiB at most). What needs the host while it runs
(patterns that are not constant, collation tables, random numbers, the present time, functions of guests) is refused.
"""
