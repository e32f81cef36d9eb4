"""From a physical plan to a program: WebAssembly and what its host must know to run it."""

from zerodb_compiler.codegen.generator import generate

__all__ = ["generate"]
