/* The operator `Knn` of the domain `genrestack`, for onnxruntime.
 *
 * Inputs: rows, float64 (n, f); the training points, float64 (N, f), and their labels, int64 (N,), both constant.
 * Attributes: neighbors, classes, p, by_distance. Output: probabilities, float64 (n, classes).
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "knn.h"
#include "ort_api.h"

enum { ROWS, POINTS, LABELS, INPUTS };

/* Rows that one thread answers at a time. */
enum { PIECE = 16 };

/* Leave the function with the first error. */
#define TRY(call)                           \
  do {                                      \
    OrtStatus *failed = (call);             \
    if (failed != NULL) return failed;      \
  } while (0)

/* The same for every session of a process. */
static const OrtApi *_Atomic api;

typedef struct {
  KnnShape shape;
  KnnIndex *index;
} Kernel;

static OrtStatus *failure(KnnError error) {
  switch (error) {
    case KNN_OK: return NULL;
    case KNN_NO_MEMORY: return ORT_CREATE_STATUS(api)(ORT_FAIL, "Knn: not enough memory");
    case KNN_NO_INSTRUCTIONS: return ORT_CREATE_STATUS(api)(ORT_FAIL, "Knn: this processor lacks the instruction set");
    default: return ORT_CREATE_STATUS(api)(ORT_INVALID_ARGUMENT, "Knn: inputs and attributes do not fit together");
  }
}

/* Read the dimensions of a tensor that has to be of this type and have `count` of them. */
static OrtStatus *dimensions(const OrtValue *value, int type, int64_t *found, size_t count) {
  OrtShapeInfo *info;
  TRY(ORT_SHAPE_INFO(api)(value, &info));
  size_t there = 0;
  int is = 0;
  OrtStatus *status = ORT_DIMENSIONS_COUNT(api)(info, &there);
  if (status == NULL) status = ORT_ELEMENT_TYPE(api)(info, &is);
  if (status == NULL && (there != count || is != type)) status = failure(KNN_BAD_ARGUMENT);
  if (status == NULL) status = ORT_DIMENSIONS(api)(info, found, count);
  ORT_RELEASE_SHAPE_INFO(api)(info);
  return status;
}

static OrtStatus *data(const OrtValue *value, void **found) {
  return ORT_TENSOR_DATA(api)((OrtValue *)value, found);
}

static OrtStatus *attribute(const OrtKernelInfo *info, const char *name, size_t *found) {
  int64_t value = 0;
  TRY(ORT_ATTRIBUTE(api)(info, name, &value));
  if (value < 0) return failure(KNN_BAD_ARGUMENT);
  *found = (size_t)value;
  return NULL;
}

static OrtStatus *constant(const OrtKernelInfo *info, size_t input, const OrtValue **found) {
  int is_constant = 0;
  TRY(ORT_CONSTANT_INPUT(api)(info, input, &is_constant, found));
  return is_constant && *found != NULL ? NULL : failure(KNN_BAD_ARGUMENT);
}

static OrtStatus *prepare(const OrtKernelInfo *info, Kernel *kernel) {
  KnnShape *shape = &kernel->shape;
  size_t p = 0, by_distance = 0;
  TRY(attribute(info, "neighbors", &shape->neighbors));
  TRY(attribute(info, "classes", &shape->classes));
  TRY(attribute(info, "p", &p));
  TRY(attribute(info, "by_distance", &by_distance));
  shape->p = p == 1 || p == 2 ? (int)p : 0;
  shape->by_distance = by_distance != 0;
  const OrtValue *points, *labels;
  TRY(constant(info, POINTS, &points));
  TRY(constant(info, LABELS, &labels));
  int64_t size[2], count[1];
  TRY(dimensions(points, ORT_TYPE_DOUBLE, size, 2));
  TRY(dimensions(labels, ORT_TYPE_INT64, count, 1));
  if (count[0] != size[0]) return failure(KNN_BAD_ARGUMENT);
  shape->points = (size_t)size[0];
  shape->features = (size_t)size[1];
  void *point, *label;
  TRY(data(points, &point));
  TRY(data(labels, &label));
  return failure(genrestack_knn_create(&kernel->index, shape, point, label, NULL));
}

static void destroy_kernel(void *given) {
  Kernel *kernel = given;
  genrestack_knn_free(kernel->index);
  free(kernel);
}

static OrtStatus *create_kernel_v2(const OrtCustomOp *op, const OrtApi *given, const OrtKernelInfo *info,
                                   void **created) {
  (void)op;
  (void)given;
  Kernel *kernel = calloc(1, sizeof *kernel);
  if (kernel == NULL) return failure(KNN_NO_MEMORY);
  OrtStatus *status = prepare(info, kernel);
  if (status == NULL) {
    *created = kernel;
  } else {
    destroy_kernel(kernel);
  }
  return status;
}

/* One run's work, which threads take in pieces. */
typedef struct {
  const Kernel *kernel;
  const double *points;
  const double *rows;
  double *probabilities;
  size_t count;
  atomic_int error;
} Work;

static void answer_piece(void *given, size_t piece) {
  Work *work = given;
  const KnnShape *shape = &work->kernel->shape;
  size_t start = piece * PIECE, left = work->count - start;
  KnnError error = genrestack_knn_answer(work->kernel->index, work->points, work->rows + start * shape->features,
                                         left < PIECE ? left : PIECE, work->probabilities + start * shape->classes);
  if (error != KNN_OK) atomic_store(&work->error, (int)error);
}

static OrtStatus *compute_v2(void *given, OrtKernelContext *context) {
  Kernel *kernel = given;
  Work work = {.kernel = kernel};
  const OrtValue *rows, *points;
  TRY(ORT_INPUT(api)(context, ROWS, &rows));
  TRY(ORT_INPUT(api)(context, POINTS, &points));
  int64_t size[2];
  TRY(dimensions(rows, ORT_TYPE_DOUBLE, size, 2));
  if ((size_t)size[1] != kernel->shape.features) return failure(KNN_BAD_ARGUMENT);
  work.count = (size_t)size[0];
  OrtValue *output;
  int64_t answered[2] = {size[0], (int64_t)kernel->shape.classes};
  TRY(ORT_OUTPUT(api)(context, 0, answered, 2, &output));
  if (work.count == 0) return NULL;
  void *row, *point, *probability;
  TRY(data(rows, &row));
  TRY(data(points, &point));
  TRY(data(output, &probability));
  work.rows = row;
  work.points = point;
  work.probabilities = probability;
  size_t pieces = (work.count + PIECE - 1) / PIECE;
  if (pieces == 1) {
    answer_piece(&work, 0);
  } else {
    TRY(ORT_PARALLEL_FOR(api)(context, answer_piece, pieces, 0, &work));
  }
  return failure((KnnError)atomic_load(&work.error));
}

static const char *name(const OrtCustomOp *op) {
  (void)op;
  return "Knn";
}

static const char *provider(const OrtCustomOp *op) {
  (void)op;
  return NULL;
}

static int input_type(const OrtCustomOp *op, size_t index) {
  (void)op;
  return index == LABELS ? ORT_TYPE_INT64 : ORT_TYPE_DOUBLE;
}

static size_t input_count(const OrtCustomOp *op) {
  (void)op;
  return INPUTS;
}

static int output_type(const OrtCustomOp *op, size_t index) {
  (void)op;
  (void)index;
  return ORT_TYPE_DOUBLE;
}

static size_t output_count(const OrtCustomOp *op) {
  (void)op;
  return 1;
}

static int zero_at(const OrtCustomOp *op, size_t index) {
  (void)op;
  (void)index;
  return 0;
}

static int zero(const OrtCustomOp *op) {
  (void)op;
  return 0;
}

static int one(const OrtCustomOp *op) {
  (void)op;
  return 1;
}

/* onnxruntime calls these where it is older than the functions with a status; those this operator serves with are not. */
static void *create_kernel(const OrtCustomOp *op, const OrtApi *given, const OrtKernelInfo *info) {
  (void)op;
  (void)given;
  (void)info;
  return NULL;
}

static void compute(void *kernel, OrtKernelContext *context) {
  (void)kernel;
  (void)context;
}

static const OrtCustomOp knn = {
    .version = ORT_CUSTOM_OP_STRUCT,
    .create_kernel = create_kernel,
    .name = name,
    .provider = provider,
    .input_type = input_type,
    .input_count = input_count,
    .output_type = output_type,
    .output_count = output_count,
    .compute = compute,
    .destroy_kernel = destroy_kernel,
    .input_characteristic = zero_at,
    .output_characteristic = zero_at,
    .input_memory = zero_at,
    .variadic_input_least = zero,
    .variadic_input_alike = zero,
    .variadic_output_least = zero,
    .variadic_output_alike = zero,
    .create_kernel_v2 = create_kernel_v2,
    .compute_v2 = compute_v2,
    .infer_shape = NULL,
    .first_version = one,
    .last_version = one,
};

/* One domain for all sessions: they keep no copy of it. */
static OrtCustomOpDomain *_Atomic domain;

static OrtStatus *create_domain(void) {
  OrtCustomOpDomain *created, *other = NULL;
  TRY(ORT_CREATE_DOMAIN(api)("genrestack", &created));
  OrtStatus *status = ORT_ADD_TO_DOMAIN(api)(created, &knn);
  /* Another thread may have been quicker. */
  if (status != NULL || !atomic_compare_exchange_strong(&domain, &other, created)) ORT_RELEASE_DOMAIN(api)(created);
  return status;
}

/* Called by onnxruntime for a session that is to know this library's operators. */
KNN_EXPORT OrtStatus *RegisterCustomOps(OrtSessionOptions *options, const OrtApiBase *base);

OrtStatus *RegisterCustomOps(OrtSessionOptions *options, const OrtApiBase *base) {
  const OrtApi *found = base->get_api(ORT_API);
  /* Every onnxruntime has a status to say it with. */
  if (found == NULL) return ORT_CREATE_STATUS(base->get_api(1))(ORT_FAIL, "Knn: this onnxruntime is too old");
  api = found;
  if (domain == NULL) TRY(create_domain());
  return ORT_ADD_DOMAIN(api)(options, domain);
}
