"""Functions that SQL calls and others have written: Python callables and WebAssembly."""
