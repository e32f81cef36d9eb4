"""Builds a project's component with the tools of its language.

Sources are copied to the folder `build` of the project (sources as they are, beside them the SDK), so that tools find
everything at one place and a project has nothing but its own files.

Python: componentize-py makes a component of CPython, our `worlds/*_world.py`, app.py and what it imports.
JavaScript: componentize-js does so with StarlingMonkey (QuickJS would lose digits of 64-bit integers), app.js and what
it imports; "zerodb-guest" is the SDK. C: zig cc makes a core module of *.c, jco's `componentNew` a component of that.
Rust: cargo's target wasm32-wasip2 gives components.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from zerodb.guests import tools
from zerodb.guests.files import SDK, WIT, wit_text
from zerodb.guests.project import Project, ProjectError

C_SOURCES = ("zerodb_memory.c", "zerodb_types.c", "zerodb_guest.c")
_SDK_IMPORT = re.compile(r"""((?:\bfrom|\bimport)\s*)(["'])zerodb-guest((?:/[\w-]+)?)\2""")


def build(project: Project) -> Path:
    """The component's file. ProjectError if a tool is missing or fails."""
    project.work.mkdir(exist_ok=True)
    match project.language:
        case "python":
            build_python(project)
        case "javascript":
            build_javascript(project)
        case "c":
            sources = sorted(project.folder.glob("*.c")) + sorted((project.folder / "src").glob("*.c"))
            build_c(sources, project.world, project.output, project.work, libc=project.libc)
        case _:
            build_rust(project)
    return project.output


def _need(path: Path) -> None:
    if not path.is_file():
        raise ProjectError(f"{path} is missing: it is the module that the component is made of")


def build_python(project: Project) -> None:
    _need(project.folder / "app.py")
    world = f"{project.world.replace('-', '_')}_world"
    command = [tools.componentize_py(), "-d", str(WIT), "-w", project.world, "componentize", world]
    for place in (project.folder, SDK / "python", SDK / "python" / "worlds"):
        command += ["-p", str(place.resolve())]
    tools.run_tool([*command, "-o", str(project.output.resolve())], project.folder)


def build_javascript(project: Project) -> None:
    _need(project.folder / "app.js")
    modules = tools.node_modules(project.folder, tools.JCO, tools.COMPONENTIZE_JS)
    stage = _fresh(project.work / "stage")
    shutil.copytree(SDK / "javascript", stage / "zerodb-guest", ignore=shutil.ignore_patterns("templates"))
    for source in _own_sources(project):
        place = stage / source.relative_to(project.folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_sdk_imports(source.read_text(encoding="utf-8"), place, stage), encoding="utf-8")
    (stage / "entry.js").write_text(f'export * from "./zerodb-guest/worlds/{project.world}.js";\n', encoding="utf-8")
    _run_node(stage / "zerodb-guest" / "build.mjs", modules, "entry.js", project.world, str(project.output.resolve()))


def _own_sources(project: Project) -> Iterable[Path]:
    for path in sorted(project.folder.rglob("*.js")):
        parts = path.relative_to(project.folder).parts
        if parts[0] not in ("build", "node_modules"):
            yield path


def _sdk_imports(text: str, place: Path, stage: Path) -> str:
    """Imports of "zerodb-guest" as paths: the JavaScript engine in the component looks up nothing else."""
    up = "../" * (len(place.relative_to(stage).parts) - 1) or "./"

    def path(found: re.Match[str]) -> str:
        return f'{found[1]}"{up}zerodb-guest{found[3] or "/index"}.js"'

    return _SDK_IMPORT.sub(path, text)


def build_c(sources: Iterable[Path], world: str, output: Path, work: Path, *, libc: bool = False) -> None:
    """A component of C sources, which define what the headers of their world ask for."""
    given = [str(path.resolve()) for path in sources]
    if not given:
        raise ProjectError(f"there are no .c files in {output.parent}")
    modules = tools.node_modules(output.parent, tools.JCO)
    core = work.resolve() / f"{output.stem}.core.wasm"
    compile_c([*given, *(str(path) for path in sdk_sources(world))], core, libc=libc)
    _run_node(SDK / "c" / "build.mjs", modules, str(core), world, str(output.resolve()), work=work)


def sdk_sources(world: str) -> list[Path]:
    """The SDK's own C sources for a world."""
    return [SDK / "c" / "src" / name for name in (*C_SOURCES, f"{world.replace('-', '_')}_world.c")]


def compile_c(sources: Iterable[str], core: Path, *, libc: bool = False, options: Iterable[str] = ()) -> None:
    """A core module of C sources."""
    command = [*tools.zig(), "cc", "-target", "wasm32-wasi" if libc else "wasm32-freestanding", "-O3", "-std=c11"]
    command += ["-Wall", "-I", str(SDK / "c" / "include"), "-o", str(core), "-Wl,--strip-all", *options, *sources]
    command += ["-mexec-model=reactor"] if libc else ["-nostdlib", "-Wl,--no-entry"]
    tools.run_tool(command, core.parent)


def build_rust(project: Project) -> None:
    _need(project.folder / "Cargo.toml")
    wit = project.work / "wit"
    shutil.rmtree(wit, ignore_errors=True)
    shutil.copytree(WIT, wit)
    target = project.work.resolve() / "target"
    command = [tools.cargo(), "build", "--release", "--target", "wasm32-wasip2", "--target-dir", str(target)]
    tools.run_tool(command, project.folder)
    made = target / "wasm32-wasip2" / "release" / f"{project.name.replace('-', '_')}.wasm"
    _need(made)
    shutil.copyfile(made, project.output)


def _run_node(script: Path, modules: Path, *arguments: str, work: Path | None = None) -> None:
    """Runs a script of the SDK, whose imports are found in `modules`: Node looks for them beside the script only."""
    work = script.parent.parent if work is None else work
    (work / "zerodb.wit").write_text(wit_text(), encoding="utf-8")
    copy = work / script.name
    shutil.copyfile(script, copy)
    link = work / "node_modules"
    if link.is_symlink():
        link.unlink()
    link.symlink_to(modules, target_is_directory=True)
    tools.run_tool([tools.node(), str(copy.resolve()), *arguments], work)


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
