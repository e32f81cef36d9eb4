"""Components: what a guest's calls, a batch to a guest, and functions in WebAssembly cost.

The guests are in `components/`: app.py and guest.c with the same measurements, built by the guest SDK (Python guests
need `componentize-py`, C guests `ziglang` and npm's jco; a line whose tools are missing is left out and said so). A
guest repeats one thing many times within one call; the call that does it no time at all is subtracted. A batch is a
query with all its rows fetched at once.

Each figure is the median of several runs, beside what is asked of it, and where it makes sense as a ratio to the same
done from Python or by a built-in function.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import zerodb
from benchmarks.measure import Clock, alternate, show
from zerodb.components.engine import component_engine
from zerodb.components.grants import DEFAULT
from zerodb.components.instance import Instance
from zerodb.components.limits import Limits
from zerodb.components.query import GuestSession
from zerodb.components.running import guest_linker
from zerodb.guests.build import build, compile_c
from zerodb.guests.files import SDK, WIT
from zerodb.guests.project import Project, ProjectError

SOURCES = Path(__file__).parent / "components"
ACCOUNTS = 100_000
BATCH_ROWS = 10_000
COLUMNS = {"balance": "numbers", "owner": "with text"}
SELECT = "select owner from account where id = $1"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much one run does; small in tests."""

    calls: int = 5_000
    batches: int = 50
    instances: int = 50
    values: int = 4_000_000
    clock: Clock = time.perf_counter  # time.process_time on a machine that has other work


@dataclass(frozen=True, slots=True)
class Figure:
    """`asked` is a limit: the most, or with `at_least` the least."""

    name: str
    value: float
    unit: str
    asked: float | None = None
    at_least: bool = False
    beside: str = ""

    @property
    def is_reached(self) -> bool:
        return self.asked is None or (self.value >= self.asked if self.at_least else self.value <= self.asked)


# --- guests -----------------------------------------------------------------------------------------------------------


def built(source: str, language: str, world: str) -> Path:
    """The component of one source file; kept in the directory of temporary files. ProjectError if tools are missing."""
    parts = [(SOURCES / source).read_bytes()]
    for folder in (SDK / ("c" if language == "c" else "python"), WIT):
        parts += [path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix in (".c", ".h", ".py", ".wit")]
    tools = [importlib.metadata.version(name).encode() for name in _tools(language)]
    digest = hashlib.sha256(b"\0".join((*parts, *tools))).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"zerodb-benchmark-{language}-{digest}"
    project = Project(folder, source.partition(".")[0], language, world)
    if not project.output.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(SOURCES / source, folder / source)
        build(project)
    return project.output


def _tools(language: str) -> list[str]:
    name = "ziglang" if language == "c" else "componentize-py"
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        raise ProjectError(f"pip install {name}") from None
    return [name]


def instantiations(db: zerodb.Connection, guest: Path, sizes: Sizes, runs: int) -> float:
    """Seconds to make an instance of a component that is loaded."""
    engine = component_engine(fuel=False)
    component = engine.load(guest.read_bytes(), guest.stem)

    def some() -> None:
        for _ in range(sizes.instances):
            session = GuestSession(db, DEFAULT)
            Instance(
                engine,
                guest_linker(engine),
                component,
                guest.stem,
                Limits(),
                DEFAULT.wasi(),
                own_output=False,
                owner=session,
                interrupt=session.interrupt,
            ).close()

    [timing] = alternate([some], runs, clock=sizes.clock)
    return timing.median / sizes.instances


def repeated(db: zerodb.Connection, guest: Path, what: str, count: int, rows: int, runs: int, sizes: Sizes) -> float:
    """Seconds for once of what a guest does `count` times."""
    data = guest.read_bytes()
    found = []
    for run in range(runs + 1):
        began = sizes.clock()
        db.run_component(data, [what, "0", str(rows)])
        middle = sizes.clock()
        db.run_component(data, [what, str(count), str(rows)])
        if run:
            found.append((sizes.clock() - middle - (middle - began)) / count)
    return statistics.median(found)


def from_python(db: zerodb.Connection, sizes: Sizes, runs: int) -> dict[str, float]:
    """Seconds of the same look-up, and of batches of the same rows, by a Python program over the same database."""
    find = db.prepare(SELECT)

    def lookups() -> None:
        for number in range(sizes.calls):
            find.execute([number * 7919 % ACCOUNTS]).fetchone()

    def batches(column: str) -> Callable[[], None]:
        def some() -> None:
            for _ in range(sizes.batches):
                db.execute(f"select id, {column} from account limit {BATCH_ROWS}").fetchall()

        return some

    timings = alternate([lookups, *map(batches, COLUMNS)], runs, clock=sizes.clock)
    counts = (sizes.calls, *(sizes.batches for _ in COLUMNS))
    return {
        name: timing.median / count for name, timing, count in zip(("lookup", *COLUMNS), timings, counts, strict=True)
    }


def guests(db: zerodb.Connection, sizes: Sizes, runs: int) -> list[Figure]:
    db.execute("create table account (id bigint primary key, owner text not null, balance double precision not null)")
    db.execute(f"insert into account select i, 'owner ' || i, i * 0.5 from generate_series(0, {ACCOUNTS - 1}) as g(i)")
    python = from_python(db, sizes, runs)
    figures = []
    for language, source, round_trip_us in (("python", "app.py", 150), ("c", "guest.c", 60)):
        try:
            guest = built(source, language, "guest")
        except ProjectError as error:
            print(f"left out: the guest in {language} ({error})")
            continue
        named = {"python": "Python", "c": "C"}[language]
        seconds = instantiations(db, guest, sizes, runs)
        figures.append(
            Figure(f"instantiate a guest ({named})", seconds * 1e3, "ms", 2 if language == "python" else None)
        )
        seconds = repeated(db, guest, "call", sizes.calls, 0, runs, sizes)
        figures.append(Figure(f"least call of the host ({named})", seconds * 1e6, "us"))
        seconds = repeated(db, guest, "lookup", sizes.calls, ACCOUNTS, runs, sizes)
        beside = f"{seconds / python['lookup']:.1f} x a Python program's"
        figures.append(Figure(f"prepared point query ({named})", seconds * 1e6, "us", round_trip_us, beside=beside))
        for column, shown in COLUMNS.items():
            seconds = repeated(db, guest, column, sizes.batches, BATCH_ROWS, runs, sizes)
            beside = f"{seconds / python[column]:.1f} x a Python program's"
            figures.append(Figure(f"batch of 10k x 2 {shown} ({named})", seconds * 1e3, "ms", 6, beside=beside))
    return figures


# --- functions --------------------------------------------------------------------------------------------------------


def functions(db: zerodb.Connection, sizes: Sizes, runs: int) -> list[Figure]:
    """Values a second of `select sum(f(a)) from numbers`, less the time of `select sum(a)`."""
    db.execute("create table numbers (a bigint not null)")
    db.execute(f"insert into numbers select i from generate_series(1, {sizes.values}) as g(i)")
    expected = db.execute("select sum(a * 3 + 1) from numbers").fetchone()
    queries: dict[str, str] = {"alone": "sum(a)", "built-in": "sum(abs(a * 3 + 1))"}
    with tempfile.TemporaryDirectory() as folder:
        try:
            core = Path(folder) / "core.wasm"
            compile_c([str(SOURCES / "core.c")], core)
            db.execute(
                f"create function by_core(bigint) returns bigint language wasm_core as '{core}' immutable strict"
            )
            queries["core"] = "sum(by_core(a))"
            udf = built("udf.c", "c", "scalar-udf")
            db.execute(
                f"create function by_component(a bigint) returns bigint language wasm as '{udf}' immutable strict"
            )
            queries["component"] = "sum(by_component(a))"
        except ProjectError as error:
            print(f"left out: functions in C ({error})")
    actions: list[Callable[[], object]] = []
    for text in queries.values():
        query = db.prepare(f"select {text} from numbers")
        assert text == "sum(a)" or query.execute().fetchone() == expected
        actions.append(lambda query=query: query.execute().fetchone())
    seconds = dict(zip(queries, [timing.median for timing in alternate(actions, runs, clock=sizes.clock)], strict=True))
    built_in = sizes.values / seconds["built-in"] / 1e6
    figures = [Figure("built-in abs(a * 3 + 1)", built_in, "M/s")]
    for name, shown, asked in (("core", "core module", 80), ("component", "C component", 5)):
        if name in seconds:
            rate = sizes.values / max(seconds[name] - seconds["alone"], 1e-9) / 1e6
            beside = f"the query takes {seconds[name] / seconds['built-in']:.1f} x the built-in's"
            figures.append(Figure(f"function in a {shown}", rate, "M/s", asked, True, beside))
    return figures


def run(runs: int = 5, sizes: Sizes = Sizes(), only: str = "") -> bool:
    """Whether everything reaches what is asked of it."""
    figures: list[Figure] = []
    with zerodb.connect() as db:
        if only in ("", "guests"):
            figures += guests(db, sizes, runs)
        if only in ("", "functions"):
            figures += functions(db, sizes, runs)
    rows = []
    for figure in figures:
        limit = "" if figure.asked is None else f"{'>=' if figure.at_least else '<='} {figure.asked:g} {figure.unit}"
        verdict = "" if figure.asked is None else "reached" if figure.is_reached else "MISSED"
        rows.append((figure.name, f"{figure.value:.3g} {figure.unit}", limit, verdict, figure.beside))
    show("Components", ("", "measured", "asked", "", "beside"), rows)
    return all(figure.is_reached for figure in figures)
