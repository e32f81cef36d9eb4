"""Files of WebAssembly that functions are made of: a component or a core module, as binary or text (WAT)."""

from __future__ import annotations

import os

from zerodb_compiler.errors import error_for

MAX_BYTES = 256 << 20
_MAGIC = b"\0asm"
_CORE, _COMPONENT = b"\x01\x00\x00\x00", b"\x0d\x00\x01\x00"
WASM, WASM_CORE = "wasm", "wasm_core"


def read(path: str) -> bytes:
    """The binary module in a file. 58P01, 42501 or 58030 if it cannot be read, 42P13 if it is no WebAssembly."""
    try:
        if os.path.getsize(path) > MAX_BYTES:
            raise error_for("54000", f'"{path}" is larger than {MAX_BYTES >> 20} MiB')
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        sqlstate = {FileNotFoundError: "58P01", PermissionError: "42501"}.get(type(error), "58030")
        raise error_for(sqlstate, f'could not read "{path}": {error.strerror}') from None
    return binary(content, path)


def binary(content: bytes, path: str) -> bytes:
    """The module as binary: text (WAT) is translated."""
    if content.startswith(_MAGIC):
        return content
    if content.lstrip().startswith((b"(", b";")):
        import wasmtime

        try:
            return bytes(wasmtime.wat2wasm(content))
        except wasmtime.WasmtimeError as error:
            raise error_for("42P13", f'"{path}" is no valid WebAssembly text: {first_line(error)}') from None
    raise error_for("42P13", f'"{path}" is no WebAssembly module or component')


def check_language(content: bytes, path: str, language: str) -> None:
    """42P13 if a component is declared as a core module, or the other way round."""
    found = {_CORE: WASM_CORE, _COMPONENT: WASM}.get(content[4:8])
    if found is None:
        raise error_for("42P13", f'"{path}" is WebAssembly of an unknown version')
    if found != language:
        names = {WASM: "a component", WASM_CORE: "a core module"}
        hint = f"declare it with LANGUAGE {found}"
        raise error_for(
            "42P13", f'"{path}" is {names[found]}, and LANGUAGE {language} takes {names[language]}', hint=hint
        )


def first_line(error: BaseException) -> str:
    """What an engine's error says, without its backtrace."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
