/* Exact k nearest neighbours and their vote, as scikit-learn's KNeighborsClassifier defines them.
 *
 * An index holds what is known of the training points beforehand. Answers do not depend on the instruction set, on how
 * many rows are asked at once, or on the number of threads: they are equal to the last bit.
 */
#ifndef GENRESTACK_KNN_H
#define GENRESTACK_KNN_H

#include <stddef.h>
#include <stdint.h>

#define KNN_EXPORT __attribute__((visibility("default")))

typedef struct {
  size_t points;
  size_t features;
  size_t neighbors;
  size_t classes;
  int p;           /* 1: Manhattan distance, 2: Euclidean */
  int by_distance; /* nonzero: weights are 1 / distance, else all are equal */
} KnnShape;

typedef struct KnnIndex KnnIndex;

typedef enum { KNN_OK = 0, KNN_BAD_ARGUMENT = 1, KNN_NO_MEMORY = 2, KNN_NO_INSTRUCTIONS = 3 } KnnError;

/* Names of the instruction sets of this processor, the best first, separated by spaces. */
KNN_EXPORT const char *genrestack_knn_instruction_sets(void);

/* Build an index. `points` is (points, features) row by row; only its codes are kept, so it has to be given again with
 * each search. `labels` are columns of the answer. `instructions` is one of the names above; NULL: what the variable
 * GENRESTACK_NATIVE_ISA names, and without it the best. */
KNN_EXPORT KnnError genrestack_knn_create(KnnIndex **index, const KnnShape *shape, const double *points,
                                          const int64_t *labels, const char *instructions);

KNN_EXPORT void genrestack_knn_free(KnnIndex *index);

/* Answer `count` rows: probabilities (count, classes). An index may be used by many threads at once. */
KNN_EXPORT KnnError genrestack_knn_answer(const KnnIndex *index, const double *points, const double *rows, size_t count,
                                          double *probabilities);

/* Name of the instruction set that an index is searched with. */
KNN_EXPORT const char *genrestack_knn_instructions(const KnnIndex *index);

/* Training points whose distances were computed in float64 since the index was built, for the benchmark. */
KNN_EXPORT uint64_t genrestack_knn_exact_distances(const KnnIndex *index);

#endif
