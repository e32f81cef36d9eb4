"""Machine code that is kept, output as log lines, waiting, and `zerodb run`."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.components.guests import c_guest

import zerodb
from zerodb.cli.main import cli
from zerodb.components import engine as engines
from zerodb.components.engine import ComponentEngine
from zerodb.components.output import LINE_BYTES, MOST_BYTES, Output

SAY = r"""
#include "guest.h"
void *run(text *args, size_t count) {
  for (size_t i = 0; i < count; i++) { put_text(args[i]); put(";"); }
  if (count > 2) { error e = {.sqlstate = {"22000", 5}, .message = {"too many", 8}}; return fail(e); }
  return say();
}
"""
SLEEPS = """
(component
  (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type $p (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $p))))))
  (alias export $poll "pollable" (type $p))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $p (type $q)) (export "pollable" (type $p2 (eq $q)))
    (export "now" (func (result u64)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p2))))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $now (canon lower (func $clock "now")))
  (core module $m
    (import "a" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "a" "block" (func $block (param i32)))
    (import "a" "now" (func $now (result i64)))
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "run") (param i32 i32) (result i32)
      (if (i64.eqz (call $now)) (then unreachable))
      (call $block (call $subscribe (i64.const 100000000))) (i32.const 0)))
  (core instance $i (instantiate $m (with "a" (instance (export "subscribe" (func $subscribe))
    (export "block" (func $block)) (export "now" (func $now))))))
  (func $run (param "arguments" (list string)) (result (result string (error string)))
    (canon lift (core func $i "run") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (export "run" (func $run)))
"""


def test_machine_code_is_kept_in_files_that_only_we_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    guest = c_guest(SAY)
    compiled: list[bytes] = []
    real = ComponentEngine._compile

    def counting(self: ComponentEngine, data: bytes, digest: bytes, name: str) -> object:
        compiled.append(digest)
        return real(self, data, digest, name)

    monkeypatch.setattr(ComponentEngine, "_compile", counting)
    for expected in (1, 1):
        ComponentEngine(fuel=False).load(guest, "g")
        assert len(compiled) == expected
    [file] = (tmp_path / "zerodb" / "components").glob("*.cwasm")
    code = bytearray(file.read_bytes())
    code[len(code) // 2] ^= 1
    file.write_bytes(code)
    ComponentEngine(fuel=False).load(guest, "g")
    assert len(compiled) == 2  # what somebody changed is not run
    ComponentEngine(fuel=True).load(guest, "g")
    assert len(compiled) == 3  # other code
    monkeypatch.setattr(engines, "MOST_BYTES", 1)
    ComponentEngine(fuel=False).load(c_guest(SAY.replace("many", "more")), "h")
    assert len(list(file.parent.glob("*.cwasm"))) == 1
    file.parent.chmod(0o777)
    assert engines.cache_directory() is None


def test_output_becomes_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "zerodb.guest")
    output = Output("app")
    for piece in (b"one\ntw", b"o\r\n", b"\x1b[31mred\xff\n", b"x" * (LINE_BYTES + 1)):
        output.stderr.write(piece)
    output.stdout.write(b"out\n")
    output.flush()
    found = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    assert found == [
        ("zerodb.guest.app", "WARNING", "one"),
        ("zerodb.guest.app", "WARNING", "two"),
        ("zerodb.guest.app", "WARNING", "\\x1b[31mred\N{REPLACEMENT CHARACTER}"),
        ("zerodb.guest.app", "WARNING", "x" * LINE_BYTES),
        ("zerodb.guest.app", "INFO", "out"),
        ("zerodb.guest.app", "WARNING", "x"),
    ]
    caplog.clear()
    for _ in range(3):
        output.stderr.write(b"y" * MOST_BYTES)
    output.flush()
    assert sum(len(record.getMessage()) for record in caplog.records) < 2 * MOST_BYTES
    assert "not shown" in caplog.records[-1].getMessage()


def test_waiting_takes_a_grant() -> None:
    import wasmtime

    guest = bytes(wasmtime.wat2wasm(SLEEPS))
    with zerodb.connect() as db:
        with pytest.raises(zerodb.Error, match="permission denied to wait") as caught:
            db.run_component(guest)
        assert caught.value.sqlstate == "42501"
        assert db.run_component(guest, grants=["wasi:sleep"]) == ""


def test_a_component_that_wants_what_is_not_there_is_told() -> None:
    import wasmtime

    guest = bytes(wasmtime.wat2wasm('(component (import "acme:rocket/engine@1.0.0" (instance (export "go" (func)))))'))
    with zerodb.connect() as db:
        with pytest.raises(zerodb.Error, match="acme:rocket/engine") as caught:
            db.run_component(guest)
        assert caught.value.sqlstate == "22P03"
        with pytest.raises(zerodb.Error, match='does not export "run"'):
            db.run_component(bytes(wasmtime.wat2wasm("(component)")))


def test_the_command_line_runs_guests(tmp_path: Path) -> None:
    file = tmp_path / "say.wasm"
    file.write_bytes(c_guest(SAY))
    run = ["run", str(file), "--db", str(tmp_path / "x.zdb")]
    done = CliRunner().invoke(cli, [*run, "--memory", "8MB", "--timeout", "5", "--", "a", "-b"])
    assert (done.exit_code, done.stdout) == (0, "a;-b;\n")
    done = CliRunner().invoke(cli, [*run, "--grant", "read:*", "1", "2", "3"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "ERROR 38000: 22000 too many" in done.stderr
    done = CliRunner().invoke(cli, [*run, "--grant", "nonsense"])
    assert "ERROR 22023" in done.stderr
