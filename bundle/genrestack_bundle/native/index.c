/* Building an index: training points rounded to bytes, and how far each was moved by that. */
#include "index.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEVELS = 255, TILE_BYTES = 32 * 1024, LEAST_POINTS = 32, MOST_INSTRUCTIONS = 5 };

/* Where a search may end among this share of all points, scores spare nothing. */
enum { WORTH_SCORING = 4 };

static size_t available(const Instructions *found[MOST_INSTRUCTIONS]) {
  const Instructions *all[MOST_INSTRUCTIONS] = {instructions_avx512_vnni(), instructions_avx512(), instructions_avx2(),
                                                instructions_sse2(), instructions_neon()};
  size_t count = 0;
  for (size_t i = 0; i < MOST_INSTRUCTIONS; i++) {
    if (all[i] != NULL) found[count++] = all[i];
  }
  return count;
}

const char *genrestack_knn_instruction_sets(void) {
  static _Thread_local char names[128];
  const Instructions *found[MOST_INSTRUCTIONS];
  size_t count = available(found);
  names[0] = '\0';
  for (size_t i = 0; i < count; i++) {
    if (i > 0) strcat(names, " ");
    strcat(names, found[i]->name);
  }
  return names;
}

static const Instructions *chosen(const char *name) {
  const Instructions *found[MOST_INSTRUCTIONS];
  size_t count = available(found);
  if (name == NULL) name = getenv("GENRESTACK_NATIVE_ISA");
  for (size_t i = 0; i < count; i++) {
    if (name == NULL || *name == '\0' || strcmp(name, found[i]->name) == 0) return found[i];
  }
  return NULL;
}

/* Find the smallest value of each feature, and the step; false where they are no ordinary numbers. */
static bool measure(KnnIndex *index, const double *points) {
  size_t f = index->shape.features;
  double widest = 0;
  for (size_t i = 0; i < f; i++) {
    double low = points[i], high = points[i];
    for (size_t point = 1; point < index->shape.points; point++) {
      double value = points[point * f + i];
      low = value < low ? value : low;
      high = value > high ? value : high;
    }
    index->low[i] = low;
    widest = high - low > widest ? high - low : widest;
  }
  index->step = widest / LEVELS > DBL_MIN ? widest / LEVELS : DBL_MIN;
  return isfinite(index->step);
}

static void encode_point(KnnIndex *index, const double *point, size_t number) {
  size_t block = number / KNN_BLOCK, within = number % KNN_BLOCK;
  uint8_t *codes = index->codes + block * index->groups * KNN_BLOCK_BYTES + within * KNN_GROUP;
  double moved = 0;
  int32_t sum = 0, squares = 0;
  for (size_t i = 0; i < index->shape.features; i++) {
    double value = in_steps(index, i, point[i]);
    /* Rounding may take the largest value a hair beyond the last level. */
    double clipped = value < 0 ? 0 : value > LEVELS ? LEVELS : value;
    uint8_t code = code_of(clipped);
    double off = fabs(value - code);
    moved += index->shape.p == 1 ? off : off * off;
    codes[(i / KNN_GROUP) * KNN_BLOCK_BYTES + i % KNN_GROUP] = code;
    sum += code;
    squares += code * code;
  }
  moved = index->shape.p == 1 ? moved : sqrt(moved);
  moved += moved * index->rounding;
  index->moved[number] = nextafterf((float)moved, INFINITY);
  if (index->moved[number] > index->most_moved) index->most_moved = index->moved[number];
  index->bias[number] = squares - 256 * sum;
}

static KnnError encode(KnnIndex *index, const double *points) {
  size_t n = index->shape.points, f = index->shape.features;
  index->groups = (f + KNN_GROUP - 1) / KNN_GROUP;
  index->blocks = (n + KNN_BLOCK - 1) / KNN_BLOCK;
  size_t fitting = TILE_BYTES / (index->groups * KNN_BLOCK_BYTES);
  size_t strides = fitting * KNN_BLOCK / KNN_STRIDE;
  /* A whole number of strides, so that a tile's scores are compared without a remainder. */
  index->tile_blocks = (strides > 0 ? strides : 1) * KNN_STRIDE / KNN_BLOCK;
  index->rounding = ((double)f + 32) * DBL_EPSILON;
  index->low = malloc(f * sizeof *index->low);
  if (index->low == NULL) return KNN_NO_MEMORY;
  if (!measure(index, points)) return KNN_OK;
  index->lost = sqrt(2 * (double)f * DBL_TRUE_MIN) / index->step;
  index->codes = calloc(index->blocks * index->groups, KNN_BLOCK_BYTES);
  index->bias = calloc(index->blocks * KNN_BLOCK, sizeof *index->bias);
  index->moved = malloc(n * sizeof *index->moved);
  if (index->codes == NULL || index->bias == NULL || index->moved == NULL) return KNN_NO_MEMORY;
  for (size_t number = 0; number < n; number++) encode_point(index, points + number * f, number);
  index->scored = true;
  return KNN_OK;
}

static bool sound(const KnnShape *shape) {
  return shape->points > 0 && shape->points < UINT32_MAX && shape->features > 0 && shape->neighbors > 0 &&
         shape->neighbors <= shape->points && shape->classes > 0 && shape->classes < UINT32_MAX &&
         (shape->p == 1 || shape->p == 2);
}

static KnnError keep_labels(KnnIndex *index, const int64_t *labels) {
  index->labels = malloc(index->shape.points * sizeof *index->labels);
  if (index->labels == NULL) return KNN_NO_MEMORY;
  for (size_t i = 0; i < index->shape.points; i++) {
    if (labels[i] < 0 || (uint64_t)labels[i] >= index->shape.classes) return KNN_BAD_ARGUMENT;
    index->labels[i] = (uint32_t)labels[i];
  }
  return KNN_OK;
}

static bool all_finite(const double *values, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!isfinite(values[i])) return false;
  }
  return true;
}

KnnError genrestack_knn_create(KnnIndex **created, const KnnShape *shape, const double *points, const int64_t *labels,
                               const char *instructions) {
  *created = NULL;
  if (!sound(shape) || !all_finite(points, shape->points * shape->features)) return KNN_BAD_ARGUMENT;
  KnnIndex *index = calloc(1, sizeof *index);
  if (index == NULL) return KNN_NO_MEMORY;
  index->shape = *shape;
  index->instructions = chosen(instructions);
  KnnError error = index->instructions == NULL ? KNN_NO_INSTRUCTIONS : keep_labels(index, labels);
  bool worth = shape->points >= LEAST_POINTS && shape->neighbors <= shape->points / WORTH_SCORING;
  if (error == KNN_OK && worth && shape->features <= KNN_MOST_FEATURES) error = encode(index, points);
  if (error != KNN_OK) {
    genrestack_knn_free(index);
    return error;
  }
  *created = index;
  return KNN_OK;
}

void genrestack_knn_free(KnnIndex *index) {
  if (index == NULL) return;
  free(index->labels);
  free(index->low);
  free(index->codes);
  free(index->bias);
  free(index->moved);
  free(index);
}

const char *genrestack_knn_instructions(const KnnIndex *index) { return index->instructions->name; }

uint64_t genrestack_knn_exact_distances(const KnnIndex *index) {
  return atomic_load_explicit(&((KnnIndex *)index)->exact, memory_order_relaxed);
}
