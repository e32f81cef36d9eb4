"""WebAssembly components: guests that query (running.py), and what functions by component share with them.

    app.wasm --engine.py--> machine code --instance.py--> a store with limits --vals.py--> calls in both directions
                                                              |
                                    query.py, transaction.py, kv.py: what a guest imports, over connections

Nothing is shared between guests but machine code: each has a store, a memory and handles of its own.
"""
