/* A small allocator for components without a libc, and cabi_realloc, by which the host puts lists and texts into our
 * memory.
 *
 * Blocks come in sizes of 4 to a doubling (16, 20, 24, 28, 32, 40, ...; at most a quarter is wasted), each size with a
 * list of free ones; new ones are cut from the end of memory. A block's eight bytes before it hold its size's number.
 * Limits: free blocks are not joined, so a program that asks for ever larger blocks keeps the smaller ones; one thread.
 */
#include "zerodb_types.h"

#define EXPORT(name) __attribute__((export_name(name)))

#ifdef __wasi__
#include <stdlib.h>

void *zdb_allocate(size_t bytes) {
  void *block = malloc(bytes ? bytes : 1);
  if (!block) __builtin_trap();
  return block;
}

void zdb_release(void *block) { free(block); }

static void *resize(void *block, size_t old, size_t bytes) {
  (void)old;
  block = realloc(block, bytes ? bytes : 1);
  if (!block) __builtin_trap();
  return block;
}

#else

#define CLASSES 128
#define HEADER 8

extern unsigned char __heap_base;
static uintptr_t end_of_used;
static void *free_blocks[CLASSES];

/* The number of the least size that holds so many bytes, and that size. */
static unsigned class_of(size_t bytes, size_t *size) {
  if (bytes <= 16) { *size = 16; return 0; }
  if (bytes > (size_t)1 << 30) __builtin_trap();
  unsigned doubling = 31 - (unsigned)__builtin_clz((unsigned)(bytes - 1)); /* 2^doubling < bytes <= 2^(doubling+1) */
  size_t base = (size_t)1 << doubling, quarter = base >> 2;
  unsigned step = (unsigned)((bytes - base + quarter - 1) / quarter); /* 1..4 */
  *size = (base + step * quarter + 7) & ~(size_t)7;
  return (doubling - 4) * 4 + step;
}

void *zdb_allocate(size_t bytes) {
  size_t size;
  unsigned number = class_of(bytes, &size);
  void *block = free_blocks[number];
  if (block) {
    free_blocks[number] = *(void **)block;
    return block;
  }
  if (!end_of_used) end_of_used = ((uintptr_t)&__heap_base + 7) & ~(uintptr_t)7;
  uintptr_t begin = end_of_used, end = begin + HEADER + size;
  size_t have = __builtin_wasm_memory_size(0) * (size_t)65536;
  if (end < begin) __builtin_trap();
  if (end > have) {
    size_t missing = (end - have + 65535) / 65536, more = have / 65536 / 2; /* grow by half, if one may */
    if (__builtin_wasm_memory_grow(0, missing > more ? missing : more) == (size_t)-1 &&
        __builtin_wasm_memory_grow(0, missing) == (size_t)-1)
      __builtin_trap();
  }
  end_of_used = end;
  *(uint32_t *)begin = number;
  return (void *)(begin + HEADER);
}

void zdb_release(void *block) {
  if (!block) return;
  uint32_t number = *(uint32_t *)((uintptr_t)block - HEADER);
  *(void **)block = free_blocks[number];
  free_blocks[number] = block;
}

static void *resize(void *block, size_t old, size_t bytes) {
  if (block) {
    size_t size;
    unsigned number = class_of(bytes, &size);
    if (number == *(uint32_t *)((uintptr_t)block - HEADER)) return block;
  }
  void *moved = zdb_allocate(bytes);
  if (block) {
    __builtin_memcpy(moved, block, old < bytes ? old : bytes);
    zdb_release(block);
  }
  return moved;
}
#endif

/* Called for lists of no elements, too: then any pointer will do, and there is nothing to free. */
EXPORT("cabi_realloc") void *cabi_realloc(void *block, size_t old, size_t align, size_t bytes) {
  if (bytes == 0) return (void *)align;
  return resize(block, old, bytes);
}
