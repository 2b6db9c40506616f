/* Branch and bound: scores of all points, and distances in float64 of those that may be among the nearest.
 *
 * On the scale of the codes a row is x, a point t, their codes q and c. Let y be x clipped to the codes' range, in which
 * every t lies. Then
 *
 *   L1: |x - t| = |x - y| + |y - t|, and |y - t| differs from |q - c| by at most |y - q| + |t - c|;
 *   L2: |x - t|^2 >= |x - y|^2 + |y - t|^2, for the range is convex; and |y - t| >= |q - c| - |y - q| - |t - c|.
 *
 * So a score |q - c| above a limit says that a point is farther than one whose distance is known. The limit falls as
 * nearer points are found: first by scores alone, and by distances once there are enough candidates. It allows for every
 * rounding on the way, so the candidates hold all neighbours, with all points as far as the last of them, and the result
 * is that of a search through all points.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index.h"
#include "nearest.h"

enum { LEVELS = 255, CANDIDATES = 256, MOST_ROWS = 32, ROWS_BYTES = 1 << 19 };

/* Above every score; the limit stays below it. */
#define NOT_A_POINT INT32_MAX

/* In scores, far more than the rounding of anything between 0 and 255 times the features. */
static const double MARGIN = 0.5;

typedef struct {
  int32_t score;
  uint32_t point;
} Candidate;

typedef struct {
  const double *x;
  bool scored; /* false: some value is no ordinary number, and all points are gone through */
  ScoreQuery query;
  double outside; /* |x - y|, squared where p is 2 */
  double moved;   /* |y - q| */
  double reach;   /* |x - q| where p is 2 */
  int32_t limit;  /* points with a higher score are no neighbours */
  int32_t *best;  /* heap of the k lowest scores, the highest on top */
  size_t best_count;
  Candidate *candidates;
  size_t waiting;
  Nearest nearest;
} Row;

/* Round up to a limit; what is no number, or too large, excludes nothing. */
static int32_t as_limit(double score) { return score < NOT_A_POINT - 1 ? (int32_t)score : NOT_A_POINT - 1; }

static double squared(double value) { return value * value; }

static double root(double value) { return value > 0 ? sqrt(value) : 0; }

/* The limit that a point `distance` away sets: scores above it are of points that are farther. */
static int32_t limit_by_distance(const KnnIndex *index, const Row *row, double distance) {
  double more = 1 + index->rounding;
  if (index->shape.p == 1) {
    double apart = distance / index->step * more - row->outside * (1 - index->rounding);
    return as_limit((apart > 0 ? apart : 0) + row->moved + index->most_moved + MARGIN);
  }
  double steps = sqrt(distance) / index->step * more + index->lost;
  double apart = root(squared(steps) * more - row->outside * (1 - index->rounding));
  return as_limit(squared(apart + row->moved + index->most_moved) * more + MARGIN);
}

/* The same for a point of which only the score is known. */
static int32_t limit_by_score(const KnnIndex *index, const Row *row, int32_t score) {
  double more = 1 + index->rounding;
  if (index->shape.p == 1) {
    return as_limit(score + 2 * (row->moved + index->most_moved) * more + index->rounding * row->outside + MARGIN);
  }
  double at_most = (row->reach + sqrt((double)score) + index->most_moved) * more + index->lost;
  double apart = root(squared(at_most) * more - row->outside * (1 - index->rounding));
  return as_limit(squared(apart + row->moved + index->most_moved) * more + MARGIN);
}

static bool can_be_nearer(const KnnIndex *index, const Row *row, Candidate candidate) {
  if (candidate.score > row->limit) return false;
  if (row->nearest.count < row->nearest.most) return true;
  /* What this very point was moved, in place of the most that any was. */
  double spare = index->most_moved - index->moved[candidate.point];
  double score = index->shape.p == 1 ? candidate.score + spare : squared(sqrt((double)candidate.score) + spare);
  return !(score * (1 - index->rounding) > row->limit + 1.0);
}

static void measure(const KnnIndex *index, const double *points, Row *row, uint32_t point) {
  const double *t = points + (size_t)point * index->shape.features;
  nearest_add(&row->nearest, exact_distance(&index->shape, row->x, t), point);
}

/* Compute the distances of the candidates that can still be neighbours, and lower the limit by them. */
static size_t settle(const KnnIndex *index, const double *points, Row *row) {
  size_t measured = 0;
  /* The likely ones first: with them the others are mostly out of question. */
  int32_t likely = row->best_count == index->shape.neighbors ? row->best[0] : NOT_A_POINT;
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < row->waiting; i++) {
      Candidate candidate = row->candidates[i];
      if ((candidate.score <= likely) != (pass == 0) || !can_be_nearer(index, row, candidate)) continue;
      measure(index, points, row, candidate.point);
      measured++;
      /* In the second pass one by one, as each may spare the next. */
      if (pass == 1 && row->nearest.count == row->nearest.most) {
        int32_t limit = limit_by_distance(index, row, row->nearest.heap[0].distance);
        if (limit < row->limit) row->limit = limit;
      }
    }
    if (row->nearest.count == row->nearest.most) {
      int32_t limit = limit_by_distance(index, row, row->nearest.heap[0].distance);
      if (limit < row->limit) row->limit = limit;
    }
  }
  row->waiting = 0;
  return measured;
}

/* Keep a score if it is one of the k lowest; true if the highest of these changed. */
static bool keep_score(Row *row, size_t k, int32_t score) {
  int32_t *heap = row->best;
  if (row->best_count < k) {
    size_t place = row->best_count++;
    for (; place > 0 && heap[(place - 1) / 2] < score; place = (place - 1) / 2) heap[place] = heap[(place - 1) / 2];
    heap[place] = score;
    return row->best_count == k;
  }
  if (score >= heap[0]) return false;
  size_t place = 0;
  for (size_t child; (child = 2 * place + 1) < k; place = child) {
    if (child + 1 < k && heap[child + 1] > heap[child]) child++;
    if (heap[child] <= score) break;
    heap[place] = heap[child];
  }
  heap[place] = score;
  return true;
}

/* Take up the candidates among a tile's scores. */
static size_t collect(const KnnIndex *index, const double *points, Row *row, const int32_t *scores, size_t first,
                      size_t count) {
  size_t measured = 0;
  for (size_t start = 0; start < count; start += KNN_STRIDE) {
    uint64_t found = index->instructions->within(scores + start, row->limit);
    for (; found != 0; found &= found - 1) {
      size_t place = start + (size_t)__builtin_ctzll(found);
      /* The limit may have fallen since the scores were compared. */
      if (scores[place] > row->limit) continue;
      if (row->waiting == CANDIDATES) measured += settle(index, points, row);
      row->candidates[row->waiting++] = (Candidate){scores[place], (uint32_t)(first + place)};
      if (keep_score(row, index->shape.neighbors, scores[place])) {
        int32_t limit = limit_by_score(index, row, row->best[0]);
        if (limit < row->limit) row->limit = limit;
      }
    }
  }
  return measured;
}

static void search_all(const KnnIndex *index, const double *points, Row *row) {
  for (size_t point = 0; point < index->shape.points; point++) measure(index, points, row, (uint32_t)point);
}

/* Round a row to codes; false if that cannot be. */
static bool encode_row(const KnnIndex *index, Row *row, uint8_t *codes) {
  double outside = 0, moved = 0, reach = 0;
  int32_t square = 0;
  for (size_t i = 0; i < index->shape.features; i++) {
    double value = in_steps(index, i, row->x[i]);
    if (!isfinite(value)) return false;
    double clipped = value < 0 ? 0 : value > LEVELS ? LEVELS : value;
    uint8_t code = code_of(clipped);
    double beyond = fabs(value - clipped), off = fabs(clipped - code);
    if (index->shape.p == 1) {
      outside += beyond;
      moved += off;
    } else {
      outside += beyond * beyond;
      moved += off * off;
      reach += (value - code) * (value - code);
    }
    codes[i] = code;
    square += code * code;
  }
  double more = 1 + index->rounding;
  row->outside = outside;
  row->moved = (index->shape.p == 1 ? moved : sqrt(moved)) * more;
  row->reach = sqrt(reach) * more;
  row->query = (ScoreQuery){codes, square};
  return isfinite(outside);
}

static void score_tile(const KnnIndex *index, size_t block, size_t blocks, const ScoreQuery *query, int32_t *scores) {
  ScoreTile tile = {index->codes + block * index->groups * KNN_BLOCK_BYTES, blocks, index->groups,
                    index->bias + block * KNN_BLOCK};
  (index->shape.p == 1 ? index->instructions->l1 : index->instructions->l2)(&tile, query, scores);
}

/* Search for all rows at once, tile by tile: a tile that is in the cache serves every row. */
static size_t search_scored(const KnnIndex *index, const double *points, Row *rows, size_t count, int32_t *scores) {
  size_t measured = 0;
  for (size_t block = 0; block < index->blocks; block += index->tile_blocks) {
    size_t left = index->blocks - block, blocks = left < index->tile_blocks ? left : index->tile_blocks;
    size_t first = block * KNN_BLOCK, there = index->shape.points - first;
    size_t scored = blocks * KNN_BLOCK, strides = (scored + KNN_STRIDE - 1) / KNN_STRIDE * KNN_STRIDE;
    for (size_t i = 0; i < count; i++) {
      if (!rows[i].scored) continue;
      score_tile(index, block, blocks, &rows[i].query, scores);
      for (size_t place = there; place < strides; place++) scores[place] = NOT_A_POINT;
      measured += collect(index, points, &rows[i], scores, first, strides);
    }
  }
  for (size_t i = 0; i < count; i++) measured += rows[i].scored ? settle(index, points, &rows[i]) : 0;
  return measured;
}

/* What one group of rows needs, in one piece. */
typedef struct {
  Row *rows;
  int32_t *scores;
  Neighbor *heaps;
  Candidate *candidates;
  int32_t *best;
  uint8_t *codes;
} Space;

static void release(Space *space) {
  free(space->rows);
  free(space->scores);
  free(space->heaps);
  free(space->candidates);
  free(space->best);
  free(space->codes);
}

static bool reserve(const KnnIndex *index, size_t rows, Space *space) {
  size_t k = index->shape.neighbors;
  space->rows = calloc(rows, sizeof *space->rows);
  space->heaps = malloc(rows * k * sizeof *space->heaps);
  if (space->rows == NULL || space->heaps == NULL) return false;
  if (!index->scored) return true;
  space->scores = malloc(index->tile_blocks * KNN_BLOCK * sizeof *space->scores);
  space->candidates = malloc(rows * CANDIDATES * sizeof *space->candidates);
  space->best = malloc(rows * k * sizeof *space->best);
  space->codes = calloc(rows * index->groups, KNN_GROUP);
  return space->scores != NULL && space->candidates != NULL && space->best != NULL && space->codes != NULL;
}

static void begin_row(const KnnIndex *index, const Space *space, size_t number, const double *x) {
  size_t k = index->shape.neighbors;
  Row *row = &space->rows[number];
  *row = (Row){.x = x, .limit = NOT_A_POINT - 1, .nearest = {space->heaps + number * k, 0, k}};
  if (!index->scored) return;
  row->best = space->best + number * k;
  row->candidates = space->candidates + number * CANDIDATES;
  row->scored = encode_row(index, row, space->codes + number * index->groups * KNN_GROUP);
}

KnnError genrestack_knn_answer(const KnnIndex *index, const double *points, const double *x, size_t count,
                               double *probabilities) {
  const KnnShape *shape = &index->shape;
  size_t each = CANDIDATES * sizeof(Candidate) + shape->neighbors * (sizeof(Neighbor) + sizeof(int32_t));
  size_t together = ROWS_BYTES / each < 1 ? 1 : ROWS_BYTES / each > MOST_ROWS ? MOST_ROWS : ROWS_BYTES / each;
  Space space = {0};
  if (!reserve(index, together < count ? together : count, &space)) {
    release(&space);
    return count > 0 ? KNN_NO_MEMORY : KNN_OK;
  }
  size_t measured = 0;
  for (size_t start = 0; start < count; start += together) {
    size_t rows = count - start < together ? count - start : together;
    for (size_t i = 0; i < rows; i++) begin_row(index, &space, i, x + (start + i) * shape->features);
    if (index->scored) measured += search_scored(index, points, space.rows, rows, space.scores);
    for (size_t i = 0; i < rows; i++) {
      if (!space.rows[i].scored) search_all(index, points, &space.rows[i]);
      vote(shape, index->labels, &space.rows[i].nearest, probabilities + (start + i) * shape->classes);
    }
  }
  release(&space);
  atomic_fetch_add_explicit(&((KnnIndex *)index)->exact, measured, memory_order_relaxed);
  return KNN_OK;
}
