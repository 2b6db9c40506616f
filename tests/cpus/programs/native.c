/* Answers of the native nearest neighbours on drawn points, as one number for each instruction set of the processor.
 *
 * They are equal to the last bit on every processor. Compiled with the operator's sources; onnxruntime has no part in it.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "knn.h"

enum { TRIES = 200, ROWS = 9 };

static uint64_t state;

static uint64_t draw(void) {
  state += 0x9E3779B97F4A7C15u;
  uint64_t mixed = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
  return mixed ^ (mixed >> 31);
}

static size_t between(size_t least, size_t most) { return least + (size_t)(draw() % (most - least + 1)); }

/* Whole numbers tie often, others never. */
static double value(int whole) { return whole ? (double)(draw() % 16) : (double)(draw() >> 11) * 0x1p-50; }

static uint64_t hashed(uint64_t hash, const double *values, size_t count) {
  for (size_t i = 0; i < count * sizeof *values; i++) hash = (hash ^ ((const unsigned char *)values)[i]) * 0x100000001B3u;
  return hash;
}

static int try_one(const char *instructions, size_t number, uint64_t *hash) {
  state = number;
  size_t n = number % 10 ? between(1, 700) : between(3000, 9000), f = between(1, 70);
  size_t k = between(1, number % 4 ? (n < 20 ? n : 20) : n);
  KnnShape shape = {n, f, k, 5, 1 + (int)(draw() % 2), (int)(draw() % 2)};
  int whole = (int)(draw() % 2);
  double *points = malloc(n * f * sizeof *points), *rows = malloc(ROWS * f * sizeof *rows);
  int64_t *labels = malloc(n * sizeof *labels);
  double answers[ROWS * 5];
  for (size_t i = 0; i < n * f; i++) points[i] = value(whole) * (number % 7 ? 1 : 0x1p-1060);
  for (size_t i = 0; i < n; i++) labels[i] = (int64_t)(draw() % 5);
  for (size_t i = 0; i < ROWS * f; i++) rows[i] = value(whole) * (number % 7 ? 1 : 0x1p-1060);
  memcpy(rows, points + (n - 1) * f, f * sizeof *rows);
  for (size_t i = 0; i < f; i++) rows[f + i] = value(0) * 1e6;
  KnnIndex *index;
  KnnError error = genrestack_knn_create(&index, &shape, points, labels, instructions);
  if (error == KNN_OK) error = genrestack_knn_answer(index, points, rows, ROWS, answers);
  if (error == KNN_OK) {
    *hash = hashed(*hash, answers, ROWS * 5);
    genrestack_knn_free(index);
  }
  free(points);
  free(rows);
  free(labels);
  return error == KNN_OK;
}

int main(void) {
  char names[128];
  strcpy(names, genrestack_knn_instruction_sets());
  for (char *name = strtok(names, " "); name != NULL; name = strtok(NULL, " ")) {
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t number = 0; number < TRIES; number++) {
      if (!try_one(name, number, &hash)) return 1;
    }
    printf("%s %016" PRIx64 "\n", name, hash);
  }
  return 0;
}
