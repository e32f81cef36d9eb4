"""The runtime: one linear memory, a buffer pool, two compilers, worker threads and the module cache (engine.py)."""

from zerodb.engine.cache import user_secret
from zerodb.engine.engine import Engine, Execution
from zerodb.engine.program import CompiledProgram
from zerodb.engine.result import ResultBatch
from zerodb.engine.scheduler import PipelineStatistics
from zerodb.engine.tiers import Tier

__all__ = ["CompiledProgram", "Engine", "Execution", "PipelineStatistics", "ResultBatch", "Tier", "user_secret"]
