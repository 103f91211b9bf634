// The few functions of the C library that the bindings need, for a component that needs no system. Whoever wants more of it builds with
// wasi-libc in its place: see the README.

#include "stdlib.h"
#include "string.h"
#include <stdint.h>

#define PAGE 65536
#define CLASSES 28

// In front of each block. Blocks have 16, 32, 64 ... bytes, and those of a size that are free are a list.
typedef struct block {
  uint32_t class;
  uint32_t unused;
  union {
    struct block *next;
    uint64_t aligned[1];
  };
} block_t;

#define HEAD offsetof(block_t, next)

extern uint8_t __heap_base;
static uintptr_t top;
static block_t *unused_blocks[CLASSES];

static block_t *grow(uint32_t class) {
  size_t size = HEAD + ((size_t)16 << class);
  if (!top) top = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
  uintptr_t end = (uintptr_t)__builtin_wasm_memory_size(0) * PAGE;
  if (size > end - top) {
    size_t pages = (size - (end - top) + PAGE - 1) / PAGE;
    if (__builtin_wasm_memory_grow(0, pages) == SIZE_MAX) return NULL;
  }
  block_t *block = (block_t *)top;
  top += size;
  block->class = class;
  return block;
}

// A plugin that has used up its memory ends: none of what it is asked could be answered.
void *malloc(size_t size) {
  uint32_t class = 0;
  while (class < CLASSES - 1 && ((size_t)16 << class) < size) class++;
  if (((size_t)16 << class) < size) abort();
  block_t *block = unused_blocks[class];
  if (block)
    unused_blocks[class] = block->next;
  else
    block = grow(class);
  if (!block) abort();
  return (uint8_t *)block + HEAD;
}

void free(void *place) {
  if (!place) return;
  block_t *block = (block_t *)((uint8_t *)place - HEAD);
  block->next = unused_blocks[block->class];
  unused_blocks[block->class] = block;
}

void *calloc(size_t count, size_t size) {
  size_t len;
  if (__builtin_mul_overflow(count, size, &len)) abort();
  return memset(malloc(len), 0, len);
}

void *realloc(void *place, size_t size) {
  if (!place) return malloc(size);
  size_t has = (size_t)16 << ((block_t *)((uint8_t *)place - HEAD))->class;
  if (size <= has) return place;
  void *moved = memcpy(malloc(size), place, has);
  free(place);
  return moved;
}

_Noreturn void abort(void) { __builtin_trap(); }

// With -mbulk-memory these are one instruction each.
void *memcpy(void *restrict to, const void *restrict from, size_t len) { return __builtin_memcpy(to, from, len); }
void *memmove(void *to, const void *from, size_t len) { return __builtin_memmove(to, from, len); }
void *memset(void *to, int byte, size_t len) { return __builtin_memset(to, byte, len); }

int memcmp(const void *a, const void *b, size_t len) {
  const uint8_t *left = a, *right = b;
  for (size_t i = 0; i < len; i++)
    if (left[i] != right[i]) return left[i] - right[i];
  return 0;
}

size_t strlen(const char *text) {
  size_t len = 0;
  while (text[len]) len++;
  return len;
}
